"""Intervals and tests that draw slides or patients with replacement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from regdata.arrays import Floats
from regdata.errors import RegdataError
from regdata.eval.metrics.classification import weighted_auroc
from regdata.eval.metrics.detection import f1_scores
from regdata.eval.metrics.intervals import Estimate, estimates, image_weights, row_means, unit_sums

Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Difference:
    """How much the second of two values is above the first.

    Attributes
    ----------
    low, high
        95 % interval; None where it is undefined, as of a single slide.
    p
        Two-sided, of no difference; None as above.
    """

    first: float | None
    second: float | None
    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def mean_f1(matrices: Floats) -> Floats:
    """(D,) float64, mean F1 of the classes; NaN without cells.

    Parameters
    ----------
    matrices
        (D, K + 1, K + 1) confusion matrices, see `ImageCounts`.
    """
    return row_means(f1_scores(matrices)[:, :-1])[:, 0]


def bootstrap(
    values: NDArray[Any],
    statistic: Statistic = mean_f1,
    units: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A statistic of summed counts, with the interval of slides drawn with replacement.

    Parameters
    ----------
    values
        (N, ...) counts of each image, such as confusion matrices.
    statistic
        From sums (D, ...) to (D,).
    units
        (N,) slide or patient of each image, which are drawn whole; images by default.

    Examples
    --------
    >>> counts = np.array([[[3, 1], [1, 0]], [[4, 0], [0, 0]]])
    >>> bootstrap(counts).value
    0.875
    """
    (drawn,) = _draws([values], units, draws, seed)
    return estimates(statistic(drawn)[:, None])[0]


def bootstrap_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    statistic: Statistic = mean_f1,
    units: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Difference:
    """Difference of a statistic between two scorings of the same images, paired draw by draw.

    The other parameters are those of `bootstrap`. p is twice the smaller share of draws on
    either side of 0, one added to both counts, so never 0.

    Parameters
    ----------
    first, second
        (N, ...) counts of each image, in the same order.
    """
    if len(first) != len(second):
        raise RegdataError(f"expected the same images twice, got {len(first)} and {len(second)}")
    one, two = (statistic(drawn) for drawn in _draws([first, second], units, draws, seed))
    return _difference(one, two)


def auroc_difference(
    truth: NDArray[np.bool_],
    first: Floats,
    second: Floats,
    units: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Difference:
    """Difference of the AUROC of two scores of the same cells.

    With `units`, slides or patients are drawn as in `bootstrap`. Without, cells count as
    independent and the variance is that of DeLong et al. (1988), by ranks (Sun and Xu, 2014).

    Parameters
    ----------
    truth, first, second
        (N,) bool, whether the cell is positive, and (N,) float64, its two scores.
    units
        (N,) slide or patient of each cell.
    """
    if units is None:
        return _delong(truth, first, second)
    _, place = np.unique(np.asarray(units, str), return_inverse=True)
    weights = image_weights(int(place.max(initial=-1)) + 1, draws, seed)
    one, two = (
        np.concatenate([weighted_auroc(truth, score, row[None, place]) for row in weights])
        for score in (first, second)
    )
    return _difference(one, two)


def _draws(
    stacks: Sequence[NDArray[Any]], units: Sequence[str] | None, draws: int, seed: int
) -> list[Floats]:
    """Sums of each stack, (1 + draws, ...): of all images, then of each draw."""
    images = len(stacks[0])
    if units is not None and len(units) != images:
        raise RegdataError(f"expected a slide for each of {images} images, got {len(units)}")
    if images == 0:
        raise RegdataError("expected counts of at least one image, got none")
    summed = [stack if units is None else unit_sums(stack, units) for stack in stacks]
    weights = image_weights(len(summed[0]), draws, seed)
    return [np.tensordot(weights, stack, axes=1) for stack in summed]


def _difference(one: Floats, two: Floats) -> Difference:
    estimate = estimates((two - one)[:, None])[0]
    drawn = (two - one)[1:]
    drawn = drawn[np.isfinite(drawn)]
    p = None
    if len(drawn) and estimate.value is not None:
        side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
        p = min(1.0, 2 * (side + 1) / (len(drawn) + 1))
    first, second = _known(one[0]), _known(two[0])
    return Difference(first, second, estimate.value, estimate.low, estimate.high, p)


def _delong(truth: NDArray[np.bool_], first: Floats, second: Floats) -> Difference:
    positive, negative = int(truth.sum()), int((~truth).sum())
    if positive == 0 or negative == 0:
        return Difference(None, None, None)
    areas, of_positive, of_negative = [], [], []
    for score in (first, second):
        ranks = rankdata(score)
        wins = (ranks[truth] - rankdata(score[truth])) / negative
        areas.append(float(wins.mean()))
        of_positive.append(wins)
        of_negative.append(1 - (ranks[~truth] - rankdata(score[~truth])) / positive)
    one, two = areas
    value = two - one
    if min(positive, negative) < 2:
        return Difference(one, two, value)
    spread = sum(
        float((parts[1] - parts[0]).var(ddof=1)) / len(parts[0])
        for parts in (of_positive, of_negative)
    )
    if spread == 0:
        return Difference(one, two, value, value, value, 1.0 if value == 0 else 0.0)
    error = float(np.sqrt(spread))
    reach, p = float(norm.ppf(0.975)) * error, float(2 * norm.sf(abs(value) / error))
    return Difference(one, two, value, value - reach, value + reach, p)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
