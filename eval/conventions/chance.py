"""The F1 of points at random places: what a score is worth."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.eval.conventions.point_sets import PointOptions, PointSets, confusions, scopes
from regdata.eval.conventions.presets import PointPreset
from regdata.eval.conventions.rates import class_rates, detection_rates

_POINTS = 200_000  # many points need few draws


def chance_f1(sets: PointSets, rules: PointPreset, options: PointOptions) -> dict[str, Any] | None:
    """Mean F1 of points at uniformly random places, as many of each class in each image.

    None where `chance_draws` is 0 or there are no points.
    """
    points = len(sets.truth.label) + len(sets.guess.label)
    draws = min(options.chance_draws, max(1, _POINTS // max(1, points)))
    if draws < 1 or points == 0:
        return None
    rng = np.random.default_rng(options.seed)
    rows = []
    for _ in range(draws):
        total = confusions(_scattered(sets, rng, options.size, rules), rules).sum(axis=0)
        f1 = [class_rates(total, sets.classes.index(c), rules)["f1"] for c in sets.reported]
        rows.append([*f1, detection_rates(total)["f1"]])
    values = np.array(rows, np.float64)  # None becomes NaN
    f1 = [_mean(column) for column in values.T]
    return {
        "per_class": dict(zip(map(str, sets.reported), f1, strict=False)),
        "mean_f1": _mean(values[:, :-1]),
        "detection": None if rules.class_aware else f1[-1],
        "draws": draws,
    }


def _scattered(
    sets: PointSets, rng: np.random.Generator, size: tuple[float, float] | None, rules: PointPreset
) -> PointSets:
    """As many points of each class in each image, each anywhere with equal chance."""
    group = scopes(sets, rules)
    low = np.full((int(group.max()) + 1, 2), np.inf)
    high = -low
    for side in (sets.truth, sets.guess):
        np.minimum.at(low, group[side.image], side.xy)
        np.maximum.at(high, group[side.image], side.xy)
    held = np.isfinite(low).all(axis=1)  # images with points
    extent = np.where(held[:, None], high - low, 0.0)
    # images of a set are alike: one with few points is no smaller than the others
    extent = np.maximum(extent, np.median(extent[held], axis=0) if held.any() else 0.0)
    corner = np.where(held[:, None], low, 0.0)
    if size is not None:
        corner, extent = np.zeros_like(low), np.broadcast_to(np.array(size, float), low.shape)
    moved = [
        replace(s, xy=corner[group[s.image]] + rng.random(s.xy.shape) * extent[group[s.image]])
        for s in (sets.truth, sets.guess)
    ]
    return replace(sets, truth=moved[0], guess=moved[1])


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
