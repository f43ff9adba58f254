"""Cells of one image, matched and counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.eval.metrics.matching import match_points


@dataclass(frozen=True)
class Points:
    """Points of one image with a class each.

    Attributes
    ----------
    xy
        (N, 2) float64, pixels.
    labels
        (N,) int64, index of the class; annotated points below 0 are nuclei without a class.
    """

    xy: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ImageCounts:
    """Confusion matrix of one image.

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
    """(K + 1, K + 1) int64, confusion matrix of one image after matching, see `ImageCounts`.

    A predicted point without a partner is not counted when it lies on an annotated point with a
    label below 0, or where `scored` is False (outside the annotated field).

    Parameters
    ----------
    radius
        Pixels, inclusive.
    scored
        (M,) bool of the predicted points, all by default.
    """
    pairs, free = pair_named(annotated.xy, annotated.labels >= 0, predicted.xy, radius, scored)
    counts: NDArray[np.int64] = tally(
        Partners(annotated.labels, predicted.labels, pairs), classes, free
    )[0]
    return counts


def pair_named(
    xy: NDArray[np.float64],
    named: NDArray[np.bool_],
    predicted_xy: NDArray[np.float64],
    radius: float,
    scored: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs of points, and which predicted points without a partner count as false positives.

    Only annotated points with a class are paired. A predicted point without a partner does not
    count where it lies on an annotated point without a class, nor where it is not `scored`.

    Parameters
    ----------
    xy, predicted_xy
        (N, 2) and (M, 2) float64, in one unit.
    named
        (N,) bool, annotated points with a class.
    radius
        Largest distance of a pair, same unit.
    scored
        (M,) bool; all by default.

    Returns
    -------
    pairs, free
        (P, 2) int64, rows (annotated, predicted), and (M,) bool.
    """
    known, unknown = np.flatnonzero(named), np.flatnonzero(~named)
    pairs = match_points(xy[known], predicted_xy, radius)
    pairs[:, 0] = known[pairs[:, 0]]
    free = np.ones(len(predicted_xy), bool) if scored is None else scored.copy()
    free[pairs[:, 1]] = False
    rest = np.flatnonzero(free)
    free[rest[match_points(xy[unknown], predicted_xy[rest], radius)[:, 1]]] = False
    return pairs, free


@dataclass(frozen=True)
class Partners:
    """Classes of annotated and predicted points, and which points are pairs.

    Attributes
    ----------
    truth, guess
        (N,) and (M,) int64, classes; annotated points below 0 count nowhere.
    pairs
        (P, 2) int64, rows (annotated, predicted).
    truth_image, guess_image
        (N,) and (M,) int64, number of the image; one image by default.
    """

    truth: NDArray[np.int64]
    guess: NDArray[np.int64]
    pairs: NDArray[np.int64]
    truth_image: NDArray[np.int64] | None = None
    guess_image: NDArray[np.int64] | None = None


def tally(
    partners: Partners, classes: int, free: NDArray[np.bool_] | None = None, images: int = 1
) -> NDArray[np.int64]:
    """(images, classes + 1, classes + 1) int64, confusion matrix of each, see `ImageCounts`.

    Parameters
    ----------
    free
        (M,) bool, predicted points that count as false positives; all without a partner by
        default.

    Examples
    --------
    >>> one = Partners(np.array([0, 0]), np.array([0]), np.array([[1, 0]]))
    >>> tally(one, 1).tolist()
    [[[1, 1], [0, 0]]]
    """
    truth, guess, pairs = partners.truth, partners.guess, partners.pairs
    here = np.zeros(len(truth), np.int64) if partners.truth_image is None else partners.truth_image
    there = np.zeros(len(guess), np.int64) if partners.guess_image is None else partners.guess_image
    if free is None:
        free = np.ones(len(guess), bool)
        free[pairs[:, 1]] = False
    partner = np.full(len(truth), classes)
    partner[pairs[:, 0]] = guess[pairs[:, 1]]
    named = truth >= 0
    counts = np.zeros((images, classes + 1, classes + 1), np.int64)
    np.add.at(counts, (here[named], truth[named], partner[named]), 1)
    alone = np.full(int(free.sum()), classes)
    np.add.at(counts, (there[free], alone, guess[free]), 1)
    return counts
