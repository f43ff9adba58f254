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
    """Cells predicted in one image.

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
    """Scores of a whole set: every image is predicted and its cells matched one-to-one.

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
            f"expected annotated nuclei to score against, got none in "
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
    """Confusion matrix of one image; a cell has its most probable class.

    Parameters
    ----------
    radius
        Largest distance of a pair, pixels of the image.
    """
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
    """(N,) bool, whether points lie in a box; its left and top edge belong to it.

    Parameters
    ----------
    xy
        (N, 2) float64, pixels of the image, as the box.
    """
    held: NDArray[np.bool_] = np.all((xy >= box[:2]) & (xy < box[2:]), axis=1)
    return held
