"""Detection and classes of points, by the conventions of a named preset."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regdata.arrays import Ints
from regdata.errors import RegdataError
from regdata.eval.conventions.chance import chance_f1
from regdata.eval.conventions.point_sets import (
    PointOptions,
    PointSets,
    confusions,
    partners,
    point_sets,
)
from regdata.eval.conventions.presets import POINTS, PointPreset, find_preset, with_conventions
from regdata.eval.conventions.rates import class_rates, detection_rates
from regdata.eval.metrics import (
    ABSENT_IS_ZERO,
    Conventions,
    ImageCounts,
    agreement_scores,
    score,
    score_classes,
)

Result = dict[str, Any]


def score_points(
    gt: ArrayLike, pred: ArrayLike, preset: str = "regdata", **conventions: Any
) -> Result:
    """Scores of predicted points against annotated ones, with the preset's names of results.

    Each result also holds the `conventions` it was computed by; `chance`, the F1 of as many
    points at random places; and `warning` where the numbers should not be trusted.

    Parameters
    ----------
    gt
        (N, 4) float, image, x, y, class. Classes count from 0 or 1 on; below 0 is a nucleus
        without a class: a prediction there is neither right nor wrong (preset regdata).
    pred
        (M, 5) float, image, x, y, class, score.
    preset
        regdata, ocelot, hovernet, cellvitpp, midog or legacy-overlay; see docs/metrics.md.
    conventions
        Fields of `PointOptions`, and of `PointPreset` where they should differ from the preset's.
        `radius` is in the unit of the coordinates unless `unit` is given too.

    Raises
    ------
    RegdataError
        A table has other columns, or there is no such preset or convention.

    Examples
    --------
    >>> gt, pred = [[0, 10, 10, 1], [0, 40, 10, 1]], [[0, 12, 10, 1, 0.9]]
    >>> score_points(gt, pred)["classes"]["1"]["f1"]
    0.6666666666666666
    >>> score_points(gt, pred, "ocelot")["per_class"]["1"]["f1"]
    0.6667
    """
    if "radius" in conventions:
        conventions = {"unit": "px", **conventions}
    start = find_preset(POINTS, preset, "points")
    rules, options = with_conventions(start, PointOptions(), conventions)
    _check(rules, options)
    sets = point_sets(gt, pred, rules, options)
    counts = confusions(sets, rules)
    result = _LAYOUTS[rules.layout](counts, sets, rules, options)
    about = {"preset": preset, **asdict(rules), "radius_in_coordinates": sets.radius}
    about |= {"mpp": options.mpp, "slides": options.slides is not None, "seed": options.seed}
    result |= {"chance": chance_f1(sets, rules, options), "conventions": about}
    return result | ({"warning": rules.warning} if rules.warning else {})


def _check(rules: PointPreset, options: PointOptions) -> None:
    if options.alternatives is not None and rules.class_aware:
        raise RegdataError("alternatives= need class_aware=False: matching across classes")
    plain = POINTS["regdata"]
    odd = [n for n in ("wrong", "epsilon", "decimals") if getattr(rules, n) != getattr(plain, n)]
    if rules.layout == "regdata" and odd:
        raise RegdataError(f"the preset regdata has plain rates; it takes no {', '.join(odd)}")


def _per_class(counts: Ints, sets: PointSets, rules: PointPreset) -> dict[str, Result]:
    total = counts.sum(axis=0)
    return {str(c): class_rates(total, sets.classes.index(c), rules) for c in sets.reported}


def _ocelot(counts: Ints, sets: PointSets, rules: PointPreset, _: PointOptions) -> Result:
    rows = _per_class(counts, sets, rules)
    per_class = {c: {**row, "n_gt": row["tp"] + row["fn"]} for c, row in rows.items()}
    known = [row["f1"] for row in per_class.values() if row["f1"] is not None]
    return {"per_class": per_class, "mF1": float(np.mean(known)) if known else None}


def _midog(counts: Ints, sets: PointSets, rules: PointPreset, _: PointOptions) -> Result:
    def case(matrix: Ints, c: str) -> Result:
        row = class_rates(matrix, sets.classes.index(int(c)), rules)
        return {name: row[name] for name in ("tp", "fp", "fn")}

    return {
        c: {
            "case": {
                name: case(matrix, c) for name, matrix in zip(sets.names, counts, strict=True)
            },
            **row,
        }
        for c, row in _per_class(counts, sets, rules).items()
    }


def _hovernet(counts: Ints, sets: PointSets, rules: PointPreset, how: PointOptions) -> Result:
    inner = counts.sum(axis=0)[:-1, :-1]
    rows = _per_class(counts, sets, rules)
    return {
        "f1_d": detection_rates(counts.sum(axis=0))["f1"],
        "acc": float(np.trace(inner) / inner.sum()) if inner.sum() else None,
        "f1_type": {c: row["f1"] for c, row in rows.items()},
        "cellvitpp": _cellvitpp(counts, sets, rules, how),
    }


def _cellvitpp(counts: Ints, sets: PointSets, rules: PointPreset, _: PointOptions) -> Result:
    names = ("f1", "precision", "recall")
    rows = _per_class(counts, sets, rules)
    return {
        "detection": detection_rates(counts.sum(axis=0)),
        "types": {c: {name: row[name] for name in names} for c, row in rows.items()},
    }


def _regdata(counts: Ints, sets: PointSets, rules: PointPreset, options: PointOptions) -> Result:
    """See `Scores.to_dict`; `classification` is of the paired points.

    It is `score_classes` where there are probabilities, else `agreement_scores`.
    """
    images = [ImageCounts(*row) for row in zip(sets.names, sets.slide, counts, strict=True)]
    how = Conventions(
        radius_um=sets.radius * options.mpp,
        draws=options.draws,
        seed=options.seed,
        resample="image" if options.slides is None else "slide",
        scope=rules.scope,
        absent_class=ABSENT_IS_ZERO if rules.empty == "zero" else Conventions.absent_class,
    )
    result = score(images, [str(c) for c in sets.classes], how).to_dict()
    del result["conventions"]  # the caller adds those of the preset
    paired = _probabilities(sets, rules)
    if paired is None:
        return result | {"classification": agreement_scores(counts.sum(axis=0)[:-1, :-1])}
    return result | {"classification": score_classes(*paired)}


def _probabilities(sets: PointSets, rules: PointPreset) -> tuple[Ints, NDArray[np.float64]] | None:
    """Class and probabilities of every pair whose annotated class has a column."""
    if sets.probabilities is None:
        return None
    together = partners(sets, rules)[0]
    here, there = together.pairs.T
    column = {sets.classes.index(c): k for k, c in enumerate(sets.reported)}
    truth = np.array([column.get(c, -1) for c in together.truth[here].tolist()], np.int64)
    return truth[truth >= 0], sets.probabilities[there[truth >= 0]]


_LAYOUTS: dict[str, Callable[[Ints, PointSets, PointPreset, PointOptions], Result]] = {
    "regdata": _regdata,
    "ocelot": _ocelot,
    "midog": _midog,
    "hovernet": _hovernet,
    "cellvitpp": _cellvitpp,
}
