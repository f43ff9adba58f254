"""Means over images with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.eval.metrics.rates import ratio

_LOW, _HIGH = 2.5, 97.5  # percentiles


@dataclass(frozen=True)
class Estimate:
    """A value over a set of images, and its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


def image_weights(images: int, draws: int, seed: int) -> Floats:
    """(1 + draws, images) float64, how often each image counts: once in row 0, then as drawn.

    A single image has no drawn rows, and so no interval.
    """
    once = np.ones((1, images))
    if images < 2:
        return once
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=draws)
    return np.concatenate([once, drawn])


def unit_weights(units: Sequence[str], draws: int, seed: int) -> Floats:
    """(1 + draws, images) float64, as `image_weights`, where whole slides are drawn.

    Parameters
    ----------
    units
        Slide or patient of each image.
    """
    names, place = np.unique(np.asarray(units, str), return_inverse=True)
    return image_weights(len(names), draws, seed)[:, place]


def unit_sums(values: NDArray[Any], units: Sequence[str]) -> NDArray[Any]:
    """(U, ...) sums of the rows of each slide or patient, in the order of their names.

    Parameters
    ----------
    values
        (N, ...), a row per image.
    units
        Slide or patient of each row.

    Examples
    --------
    >>> unit_sums(np.array([1, 2, 4]), ["b", "a", "b"]).tolist()
    [2, 5]
    """
    names, place = np.unique(np.asarray(units, str), return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]), values.dtype)
    np.add.at(sums, place, values)
    return sums


def weighted_means(values: Floats, weights: Floats) -> Floats:
    """(B, K) float64, weighted means over images; NaN values are left out.

    Parameters
    ----------
    values
        (images, K).
    weights
        (B, images), from `image_weights`.
    """
    known = np.isfinite(values)
    return ratio(weights @ np.where(known, values, 0.0), weights @ known)


def row_means(values: Floats) -> Floats:
    """(B, 1) float64, mean of each row of (B, K) values without NaN."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=1, keepdims=True)
    return ratio(sums, known.sum(axis=1, keepdims=True).astype(np.float64))


def estimates(values: Floats) -> tuple[Estimate, ...]:
    """One estimate per column of (1 + draws, K); row 0 is the value, the others are the draws."""
    return tuple(_estimate(column[0], column[1:]) for column in values.T)


def _estimate(value: float, drawn: Floats) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Estimate(None)
    if len(known) == 0:
        return Estimate(float(value))
    low, high = np.percentile(known, (_LOW, _HIGH))
    return Estimate(float(value), float(low), float(high))
