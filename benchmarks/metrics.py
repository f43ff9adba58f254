"""Metrics beside a dense reference written from their definitions, as ratios of CPU time.

    python benchmarks/metrics.py [--points 1000000] [--repeat 5]

Instances: one tile of 1000 x 1000 px with 550 annotated and 497 found nuclei (discs of 8-13 px,
the found ones shifted by up to 3 px). The reference looks at the whole tile once per nucleus for
its mask and once per overlapping pair for what they share, as the published codes do, then
follows the definition of each metric; its scores must be equal to ours. Points: every scoring by
the reference takes a matrix of all distances; ours alone goes on to a slide of `--points` cells
at 5,000 and 15,000 per mm². All runs are in one thread; the least of the repeats counts.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tiny import parsed

from regdata.cells.match_radius import MATCH_RADIUS_UM
from regdata.eval.metrics.instances import aji, aji_plus, overlaps
from regdata.eval.metrics.matching import match_greedily, match_points
from regdata.eval.metrics.panoptic import panoptic_quality

SIDE, ANNOTATED, FOUND, MPP = 1000, 550, 497, 0.25
RADIUS = MATCH_RADIUS_UM / MPP
Labels = NDArray[np.int32]
Double = NDArray[np.float64]


def tile(seed: int = 0) -> tuple[Labels, Labels]:
    """Annotated and found nuclei."""
    rng = np.random.default_rng(seed)
    step = SIDE / 24
    cells = rng.permutation(24 * 24)[:ANNOTATED]
    centre = np.stack([cells % 24 + 0.5, cells // 24 + 0.5], 1) * step
    centre += rng.uniform(-9, 9, centre.shape)
    radius = rng.uniform(8, 13, len(centre))
    kept = np.sort(rng.permutation(ANNOTATED)[:FOUND])
    moved = centre[kept] + rng.uniform(-3, 3, (FOUND, 2))
    return draw(centre, radius), draw(moved, radius[kept] * rng.uniform(0.9, 1.1, FOUND))


def draw(centre: Double, radius: Double) -> Labels:
    """Discs, later ones over earlier ones."""
    picture = np.zeros((SIDE, SIDE), np.int32)
    y, x = np.mgrid[:SIDE, :SIDE]
    for i, ((cx, cy), r) in enumerate(zip(centre, radius, strict=True), 1):
        top, left = max(0, int(cy - r)), max(0, int(cx - r))
        part = np.s_[top : int(cy + r) + 2, left : int(cx + r) + 2]
        picture[part][(x[part] - cx) ** 2 + (y[part] - cy) ** 2 <= r * r] = i
    return picture


def dense_pairs(truth: Labels, found: Labels) -> tuple[Double, Double, Double, Double]:
    """Shared area and union of all pairs, and the areas, by whole masks."""
    a = [truth == i for i in np.unique(truth)[1:]]
    b = [found == i for i in np.unique(found)[1:]]
    ids = {int(name): j for j, name in enumerate(np.unique(found)[1:])}
    shared, union = np.zeros((len(a), len(b))), np.ones((len(a), len(b)))
    for i, mask in enumerate(a):
        for name in np.unique(found[mask]):
            if name:
                other = b[ids[int(name)]]
                shared[i, ids[int(name)]] = (mask & other).sum()
                union[i, ids[int(name)]] = (mask | other).sum()
    return shared, union, np.array([m.sum() for m in a]), np.array([m.sum() for m in b])


def dense_pq(truth: Labels, found: Labels) -> float:
    """Panoptic quality of pairs with IoU > 0.5."""
    shared, union, a, b = dense_pairs(truth, found)
    iou = shared / union
    return float(2 * iou[iou > 0.5].sum() / (len(a) + len(b)))


def dense_aji(truth: Labels, found: Labels) -> float:
    """Each nucleus takes the found one of highest IoU."""
    shared, union, a, b = dense_pairs(truth, found)
    best = (shared / union).argmax(axis=1)
    rows = np.flatnonzero(shared[np.arange(len(a)), best] > 0)
    return _jaccard(shared, union, a, b, rows, best[rows])


def dense_aji_plus(truth: Labels, found: Labels) -> float:
    """One-to-one pairs of highest total IoU."""
    shared, union, a, b = dense_pairs(truth, found)
    rows, columns = linear_sum_assignment(shared / union, maximize=True)
    kept = shared[rows, columns] > 0
    return _jaccard(shared, union, a, b, rows[kept], columns[kept])


def _jaccard(
    shared: Double, union: Double, a: Double, b: Double, rows: Labels, columns: Labels
) -> float:
    alone = np.delete(a, rows).sum() + np.delete(b, np.unique(columns)).sum()
    return float(shared[rows, columns].sum() / (union[rows, columns].sum() + alone))


def dense_hits(a: Double, b: Double) -> int:
    """Number of pairs of the optimal matching within the radius."""
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    cost = np.where(distance <= RADIUS, distance, (min(len(a), len(b)) + 1) * (RADIUS + 1))
    rows, columns = linear_sum_assignment(cost)
    return int((distance[rows, columns] <= RADIUS).sum())


def cells(count: int, per_mm2: int, seed: int = 0) -> tuple[Double, Double]:
    """Annotated points and found ones: nine in ten a little off, the others anywhere."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(count / per_mm2) * 1000 / MPP
    a = rng.uniform(0, side, (count, 2))
    b = a + rng.normal(0, 4, a.shape)
    b[: count // 10] = rng.uniform(0, side, (count // 10, 2))
    return a, b


def least(work: Callable[[], float], repeat: int) -> tuple[float, float]:
    """Shortest CPU time of some runs, and the value."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        value = work()
        times.append(time.process_time() - start)
    return min(times), value


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parsed(parser, points=2000, repeat=1)
    truth, found = tile()
    few = cells(4000, 5000)
    rows: list[tuple[str, Callable[[], float], Callable[[], float]]] = [
        ("PQ", lambda: dense_pq(truth, found),
         lambda: panoptic_quality(overlaps(truth, found)).pq or 0.0),
        ("AJI", lambda: dense_aji(truth, found), lambda: aji(overlaps(truth, found)) or 0.0),
        ("AJI+", lambda: dense_aji_plus(truth, found),
         lambda: aji_plus(overlaps(truth, found)) or 0.0),
        ("pairs of 4,000", lambda: dense_hits(*few), lambda: len(match_points(*few, RADIUS))),
    ]  # fmt: skip
    print(f"{truth.max()} annotated, {len(np.unique(found)) - 1} found nuclei")
    print(f"{'':16}{'dense, s':>10}{'ours, s':>10}{'ratio':>8}")
    equal = True
    for name, dense, ours in rows:
        slow, expected = least(dense, 2)
        fast, value = least(ours, options.repeat)
        equal &= abs(expected - value) < 1e-9
        print(f"{name:16}{slow:10.3f}{fast:10.4f}{slow / fast:8.0f}")
    print("scores are equal" if equal else "SCORES DIFFER")
    for per_mm2 in (5000, 15000):
        a, b = cells(options.points, per_mm2)
        order = np.arange(len(b))
        optimal, hits = least(lambda a=a, b=b: len(match_points(a, b, RADIUS)), 1)
        greedy, taken = least(lambda a=a, b=b: len(match_greedily(b, a, RADIUS, order)), 1)  # noqa: B023
        print(
            f"{options.points:,} points at {per_mm2:,}/mm²: optimal {optimal:.1f} s ({hits:.0f} "
            f"pairs), greedy {greedy:.1f} s ({taken:.0f})"
        )
    sys.exit(not equal)


if __name__ == "__main__":
    main()
