"""Scores of the nuclei predicted in one image against its annotated nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.annotated import AnnotatedNuclei
from regdata.cells import centroids
from regdata.eval.metrics.classes import ClassMap
from regdata.eval.metrics.counts import Points, confusion
from regdata.eval.metrics.instances import aji, aji_plus, dice, overlaps
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.panoptic import PanopticQuality, class_panoptic_quality, panoptic_quality
from regdata.eval.metrics.rates import rates_of


@dataclass(frozen=True)
class DetectedNuclei:
    """Nuclei that a network detected in an image.

    Attributes
    ----------
    instances
        (H, W) int32, nuclei 1..M, 0 = background; a nucleus may have no pixel.
    xy
        (M, 2) float64, centroids in pixels of the image, corner origin.
    kinds
        (M,) int64, index into the classes of the network or classifier.
    """

    instances: NDArray[np.int32]
    xy: NDArray[np.float64]
    kinds: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """Scores of one image; None where they are undefined.

    Nothing annotated and nothing predicted: every score is None, as there is nothing to judge.
    Nuclei on one side only: Dice, AJI, PQ and F1 are 0, and of precision and recall the one
    without a denominator is None.

    Attributes
    ----------
    annotated, predicted
        Number of nuclei on either side.
    paired
        Number of nuclei whose centroids are paired one-to-one within the radius.
    classes
        Panoptic quality of each scored class; empty without classes.
    confusion
        (K + 1, K + 1) int64, see `regdata.eval.metrics.counts.ImageCounts`; None without
        classes.
    """

    name: str
    annotated: int
    predicted: int
    paired: int
    dice: float | None
    aji: float | None
    aji_plus: float | None
    quality: PanopticQuality
    classes: tuple[PanopticQuality, ...] = ()
    confusion: NDArray[np.int64] | None = None

    def metrics(self) -> dict[str, float | None]:
        """All binary scores by name."""
        return {
            "dice": self.dice,
            "bpq": self.quality.pq,
            "dq": self.quality.dq,
            "sq": self.quality.sq,
            "aji": self.aji,
            "aji_plus": self.aji_plus,
            **rates_of(self.paired, self.predicted, self.annotated),
        }


def score_image(
    image: AnnotatedNuclei,
    predicted: DetectedNuclei,
    radius: float,
    classes: ClassMap | None = None,
) -> ImageScore:
    """Scores of the nuclei predicted in one image.

    Parameters
    ----------
    radius
        Largest distance of paired centroids, pixels, inclusive.
    classes
        Which classes are scored; none by default, nor where the image has none.
    """
    pairs = overlaps(image.instances, predicted.instances)
    xy = centroids(image.instances)
    per_class: tuple[PanopticQuality, ...] = ()
    matrix = None
    if classes is not None and image.kinds is not None:
        truth = np.where(image.kinds > 0, classes.annotated[image.kinds - 1], -1)
        guess = classes.classifier[predicted.kinds]
        count = len(classes.names)
        # annotated nuclei are numbered without gaps, predicted ones may have lost their last pixel
        per_class = class_panoptic_quality(pairs, truth, guess[pairs.predicted_ids - 1], count)
        matrix = confusion(Points(xy, truth), Points(predicted.xy, guess), count, radius)
    return ImageScore(
        name=image.name,
        annotated=len(xy),
        predicted=len(predicted.xy),
        paired=len(match_points(xy, predicted.xy, radius)),
        dice=dice(pairs),
        aji=aji(pairs),
        aji_plus=aji_plus(pairs),
        quality=panoptic_quality(pairs),
        classes=per_class,
        confusion=matrix,
    )
