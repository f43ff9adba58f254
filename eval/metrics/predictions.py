"""Score a classifier of cells on annotated images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.annotated import AnnotatedImage, AnnotatedSet, Box
from regdata.errors import RegdataError
from regdata.eval.metrics.classes import ClassMap
from regdata.eval.metrics.counts import ImageCounts, Points, confusion
from regdata.eval.metrics.detection import Conventions, Scores, score


@dataclass(frozen=True)
class Prediction:
    """Cells found in one image.

    Attributes
    ----------
    xy
        (M, 2) float64, pixels of the image, origin at the corner of the first pixel.
    probabilities
        (M, C) float32 over the classes of the classifier.
    """

    xy: NDArray[np.float64]
    probabilities: NDArray[np.float32]


def evaluate(
    annotated: AnnotatedSet,
    predict: Callable[[AnnotatedImage], Prediction],
    classes: ClassMap,
    conventions: Conventions | None = None,
) -> Scores:
    """Predict every image, match its cells one-to-one, and score the whole set.

    The radius in µm becomes pixels by each image's pixel size. Each image is matched by itself.

    Parameters
    ----------
    predict
        Called once per image, in order.
    classes
        From `map_classes(classifier names, annotated.classes)`.

    Raises
    ------
    RegdataError
        The set is empty, or no nucleus in it has a class.
    """
    conventions = conventions or Conventions()
    if not any((image.labels >= 0).any() for image in annotated.images):
        raise RegdataError(
            f"expected annotated nuclei to score against, found none in "
            f"{len(annotated.images)} image(s)"
        )
    counts = [
        count(image, predict(image), classes, conventions.radius_um / annotated.mpp_of(image))
        for image in annotated.images
    ]
    return score(counts, classes.names, conventions)


def count(
    image: AnnotatedImage, prediction: Prediction, classes: ClassMap, radius: float
) -> ImageCounts:
    """Match one image within a radius in its pixels; a cell has its most probable class."""
    merged = classes.merge(prediction.probabilities)
    labels = np.where(image.labels < 0, image.labels, classes.annotated[image.labels])
    matrix = confusion(
        Points(image.points_xy, labels),
        Points(prediction.xy, merged.argmax(axis=1).astype(np.int64)),
        len(classes.names),
        radius,
        None if image.field is None else inside(prediction.xy, image.field),
    )
    return ImageCounts(image.name, image.slide, matrix)


def inside(xy: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    """(N,) bool: left and top belong to the box, right and bottom do not."""
    held: NDArray[np.bool_] = np.all((xy >= box[:2]) & (xy < box[2:]), axis=1)
    return held
