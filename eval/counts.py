"""Cells of one image, matched and counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.eval.matching import match_points


@dataclass(frozen=True)
class Points:
    """Points of one image with a class each.

    Attributes
    ----------
    xy
        (N, 2) float64, pixels.
    labels
        (N,) int64, index of the class; annotated points below 0 are nuclei nobody could name.
    """

    xy: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ImageCounts:
    """What was found in one image.

    Attributes
    ----------
    confusion
        (K + 1, K + 1) int64 over K classes; rows the annotated class, columns the predicted one.
        Row K: predicted cells without a partner. Column K: annotated cells without a partner.
    """

    name: str
    slide: str
    confusion: NDArray[np.int64]


def confusion(
    annotated: Points,
    predicted: Points,
    classes: int,
    radius: float,
    scored: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Match one image and count, see `ImageCounts`.

    A predicted point without a partner is not counted when it lies on an annotated point with a
    label below 0, or where `scored` is False (outside the annotated field).

    Parameters
    ----------
    radius
        Pixels, inclusive.
    scored
        (M,) bool of the predicted points, all by default.
    """
    named = annotated.labels >= 0
    truth = annotated.labels[named]
    pairs = match_points(annotated.xy[named], predicted.xy, radius)
    free = np.ones(len(predicted.xy), bool) if scored is None else scored.copy()
    free[pairs[:, 1]] = False
    rest = np.flatnonzero(free)
    unnamed = match_points(annotated.xy[~named], predicted.xy[rest], radius)
    free[rest[unnamed[:, 1]]] = False
    partner = np.full(len(truth), classes)
    partner[pairs[:, 0]] = predicted.labels[pairs[:, 1]]
    spurious = predicted.labels[free]
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(counts, (truth, partner), 1)
    np.add.at(counts, (np.full(len(spurious), classes), spurious), 1)
    return counts
