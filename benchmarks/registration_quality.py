"""Does the quality map tell the truth? Claimed against true errors of transforms made wrong.

    python benchmarks/registration_quality.py [--fit] [--jobs N]

Pairs of slides with a known map are seen through maps that are wrong by a known, smooth field:
by little (0.1-0.8 µm rms), by anything up to 6 µm, by little but for places where they fail by up
to 15 µm, and lost altogether (that kind by itself, not among all). Printed is what the tiles
claim against what is true, and what a second look leaves of the errors. `--fit` instead fits the
constants of `residual.py` and `quality_error.py`, on other images and seeds, and prints them.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from quality_scenes import Case, annotated, cases, scenes
from scipy import optimize
from tiny import parsed

from regdata.registration.pose import fisher_z
from regdata.registration.quality import residual
from regdata.registration.quality.assessment import assess
from regdata.registration.quality.error import FITTED, Constants, context, expected_error
from regdata.registration.quality.measure import LEAST_TISSUE

Floats = NDArray[np.float64]
BINS_UM = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, np.inf)
FAR_UM = 12.0  # how far off hardly matters beyond
RIGHT_UM = 1.0  # a shift is the right one if it is this near


def collected(held_out: bool, jobs: int, tiny: bool) -> list[Case]:
    """All cases; those of one annotated image in a tiny run."""
    work = scenes(held_out)
    if tiny:
        work = [scene for scene in work if scene[0] is annotated][:1]
    # forked from a process with threads, as OpenCV has them, a child can wait for ever
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [case for found in pool.map(cases, work) for case in found]


def looked_at(case: Case) -> NDArray[np.bool_]:
    """Tiles in which something is seen."""
    return (case.measures.tissue >= LEAST_TISSUE) & np.isfinite(case.measures.sd_um)


def is_right(case: Case) -> NDArray[np.bool_]:
    """Whether the shift of a tile is the right one."""
    apart = np.linalg.norm(case.measures.shift_um - case.shift_um, axis=1)
    return np.asarray(apart < RIGHT_UM + 0.2 * np.minimum(case.error_um, 5))


def joined(values: Iterable[Floats]) -> Floats:
    """One array of those of all cases."""
    return np.concatenate(list(values))


def logistic(terms: Floats, truth: NDArray[np.bool_], base: Floats | float = 0.0) -> Floats:
    """Coefficients by maximum likelihood, with a touch of ridge; `base` adds to the logit."""
    sign = np.where(truth, 1.0, -1.0)

    def loss(weights: Floats) -> float:
        return float(
            np.logaddexp(0, -sign * (terms @ weights + base)).mean() + 1e-4 * weights @ weights
        )

    return np.asarray(optimize.minimize(loss, np.zeros(terms.shape[1]), method="BFGS").x)


def peak_terms(case: Case) -> Floats:
    """Lead of the peak, its height, and 1, as (N, 3); from the confidence made of them."""
    sure = np.clip(case.measures.confidence, 1e-14, 1 - 1e-14)
    height = fisher_z(case.measures.at_peak)
    logit = np.log(sure / (1 - sure))
    lead = (logit - residual._HEIGHT * height - residual._CHANCE) / residual._LEAD
    return np.stack([lead, height, np.ones_like(lead)], 1)


def fit_peak(found: list[Case]) -> tuple[Floats, float]:
    """Factors of lead and height and the offset of the confidence; the factor of the spread."""
    inner = [looked_at(case) & (case.measures.confidence > 0) for case in found]
    terms = joined(peak_terms(case)[w] for case, w in zip(found, inner, strict=True))
    truth = joined(is_right(case)[w] for case, w in zip(found, inner, strict=True))
    ratios = []
    for case in found:
        calm = is_right(case) & looked_at(case) & (case.error_um < 0.6)
        apart = (case.measures.shift_um - case.shift_um)[calm]
        ratios.append((apart / case.measures.sd_um[calm, None]).ravel())
    # the spread of the middle two thirds: a few wrong peaks are no noise
    spread = np.diff(np.percentile(joined(ratios), [16, 84]))[0] / 2
    return logistic(terms, truth.astype(bool)), float(spread * residual._NOISE)


def with_peak(case: Case, factors: Floats, noise: float) -> Case:
    """The case as it would be with other constants of `residual.py`."""
    chance = 1 / (1 + np.exp(-np.clip(peak_terms(case) @ factors, -30, 30)))
    confidence = np.where(case.measures.confidence > 0, chance, 0.0)
    sd = case.measures.sd_um * noise / residual._NOISE
    return replace(case, measures=replace(case.measures, confidence=confidence, sd_um=sd))


def fit_error(found: list[Case]) -> Constants:
    """The constants of `quality_error.py`."""
    near = [context(case.grid, case.measures) for case in found]
    where = [looked_at(case) for case in found]
    columns = [
        np.stack([a.logit, a.agreeing, a.contradicting, np.ones_like(a.logit)], 1) for a in near
    ]
    terms = np.concatenate([c[w] for c, w in zip(columns, where, strict=True)])
    heard = joined(around.heard[w] for around, w in zip(near, where, strict=True))
    truth = joined(is_right(case)[w] for case, w in zip(found, where, strict=True)).astype(bool)
    own, agreeing, contradicting, offset = logistic(
        heard[:, None] * terms, truth, (1 - heard) * terms[:, 0]
    ).tolist()
    sized = [
        (case, around, w)
        for case, around, w in zip(found, near, where, strict=True)
        if not case.name.endswith("lost")
    ]
    true = joined(case.error_um[w] for case, _, w in sized)

    def made(values: Floats) -> Constants:
        rough, beside, lost = values.tolist()
        return Constants(
            own=own,
            agreeing=agreeing,
            contradicting=contradicting,
            offset=offset,
            rough=rough,
            beside=beside,
            lost=lost,
        )

    def loss(values: Floats) -> float:
        claimed = joined(
            expected_error(case.measures, around, made(values))[0][w] for case, around, w in sized
        )
        # gamma deviance: small errors count as much as large ones, and the mean comes out right
        ratio = (np.minimum(true, FAR_UM) + 0.1) / (claimed + 0.1)
        return float((ratio - np.log(ratio)).mean())

    # tiles without any neighbour are too few to fit what is said of them
    start = [FITTED.rough, FITTED.beside, FITTED.lost]
    bounds = [(0, 2), (0.5, 8), (FITTED.lost, FITTED.lost)]
    return made(optimize.minimize(loss, start, method="Nelder-Mead", bounds=bounds).x)


def print_reliability(name: str, found: list[Case]) -> None:
    """A table of true errors by claimed error, and the two figures that matter."""
    table = [assess(case.grid, case.measures) for case in found]
    seen = [quality.status != "empty" for quality in table]
    claimed = joined(q.error_um[s] for q, s in zip(table, seen, strict=True))
    true = joined(case.error_um[s] for case, s in zip(found, seen, strict=True))
    status = joined(q.status[s] for q, s in zip(table, seen, strict=True))
    print(f"\n### {name}: {len(claimed)} tiles\n")
    print("| claimed, µm | tiles | mean claimed | true: mean | median | p95 | share < 2 µm |")
    print("|---|---|---|---|---|---|---|")
    for low, high in pairwise(BINS_UM):
        here = (claimed >= low) & (claimed < high)
        if here.any():
            p = np.percentile(true[here], [50, 95])
            below = (true[here] < 2).mean()
            print(
                f"| {low:g}-{high:g} | {here.sum()} | {claimed[here].mean():.2f} | "
                f"{true[here].mean():.2f} | {p[0]:.2f} | {p[1]:.2f} | {below:.1%} |"
            )
    small = claimed < 1
    if small.any() and true.std() > 0:
        cut = np.minimum(true, FAR_UM)
        print(f"\ncorrelation {np.corrcoef(claimed, true)[0, 1]:.2f}", end="; ")
        print(f"of errors cut at {FAR_UM:g} µm {np.corrcoef(claimed, cut)[0, 1]:.2f}", end="; ")
        print(f"of ranks {rank_correlation(claimed, true):.2f}")
        print(f"claimed < 1 µm: {small.mean():.0%}, {(true[small] < 2).mean():.1%} truly < 2 µm")
    for word in ("accept", "doubtful", "reject"):
        here = status == word
        if here.any():
            truly = (
                f"true median {np.median(true[here]):.2f}, p95 {np.percentile(true[here], 95):.2f}"
            )
            print(f"{word}: {here.mean():.0%}; {truly} µm")


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's."""
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


def print_second_look(found: list[Case]) -> None:
    """True errors before and after, at the tiles with something to see."""
    print("\n| wrong by | before: median / p90, µm | after: median / p90 |")
    print("|---|---|---|")
    for kind in ("good", "any", "failing"):
        chosen = [case for case in found if case.name.endswith(kind)]
        before, after = (
            joined(c.error_um[looked_at(c)] for c in chosen),
            joined(c.after_um[looked_at(c)] for c in chosen),
        )
        texts = [f"{np.median(e):.2f} / {np.percentile(e, 90):.2f}" for e in (before, after)]
        print(f"| {kind} | {texts[0]} | {texts[1]} |")


def main() -> None:
    """Print the tables, or fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parsed(parser)
    if arguments.fit:
        found = collected(False, arguments.jobs, arguments.tiny)
        peak, noise = fit_peak(found)
        print("lead, height, chance:", peak.round(2).tolist(), "noise:", round(noise, 2))
        fitted = fit_error([with_peak(case, peak, noise) for case in found])
        print({name: round(value, 2) for name, value in asdict(fitted).items()})
        return
    found = collected(True, arguments.jobs, arguments.tiny)
    print_reliability("all", [case for case in found if not case.name.endswith("lost")])
    groups: dict[str, list[Case]] = {}
    for case in found:
        scene, kind = case.name.rsplit(", ", 1)
        if kind != "lost":
            groups.setdefault(scene, []).append(case)
        groups.setdefault(f"wrong: {kind}", []).append(case)
    for name in sorted(groups):
        print_reliability(name, groups[name])
    print_second_look(found)


if __name__ == "__main__":
    main()
