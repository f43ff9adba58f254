"""Overlap of the nuclei of two instance maps: areas, Dice and aggregated Jaccard indices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from regdata.arrays import Ints
from regdata.errors import RegdataError

Labels = NDArray[np.integer[Any]]

_DENSE = 4  # cells of a full table per pixel; above it the table is built sparsely


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """Areas of the nuclei of two maps, and of what each pair of them shares, in pixels.

    Attributes
    ----------
    true_ids, predicted_ids
        (N,) and (M,) int64, the ids that occur in each map, ascending.
    true_area, predicted_area
        (N,) and (M,) int64, pixels.
    rows, columns, shared
        (K,) int64: annotated nucleus, predicted nucleus (indices, not ids) and shared area of
        every pair that overlaps, ordered by row, then column.
    """

    true_ids: Ints
    predicted_ids: Ints
    true_area: Ints
    predicted_area: Ints
    rows: Ints
    columns: Ints
    shared: Ints

    @property
    def union(self) -> Ints:
        """(K,) int64, area of the union of each pair, pixels."""
        return self.true_area[self.rows] + self.predicted_area[self.columns] - self.shared

    @property
    def iou(self) -> NDArray[np.float64]:
        """(K,) float64, intersection over union of each pair, above 0."""
        return np.asarray(self.shared / self.union, np.float64)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """(K,) bool, pairs with IoU > 0.5; no nucleus is in two of them."""
        return 2 * self.shared > self.union  # in whole numbers: exactly one half is no match


def overlaps(truth: Labels, predicted: Labels) -> Overlaps:
    """Areas and shared areas of the nuclei of two maps, counted in one pass over the pixels.

    Parameters
    ----------
    truth, predicted
        (H, W) int, 0 = background; ids need not follow each other.

    Raises
    ------
    RegdataError
        The maps differ in size, or hold negative ids.

    Examples
    --------
    >>> overlaps(np.array([[1, 1, 0]]), np.array([[0, 7, 7]])).iou.round(2).tolist()
    [0.33]
    """
    if truth.shape != predicted.shape:
        raise RegdataError(f"expected maps of one size, got {truth.shape} and {predicted.shape}")
    true_ids, true_area, a = _number(truth)
    predicted_ids, predicted_area, b = _number(predicted)
    both = (a > 0) & (b > 0)
    rows, columns, shared = _joint(a[both] - 1, b[both] - 1, len(predicted_ids), _DENSE * a.size)
    return Overlaps(
        true_ids=true_ids,
        predicted_ids=predicted_ids,
        true_area=true_area,
        predicted_area=predicted_area,
        rows=rows,
        columns=columns,
        shared=shared,
    )


def _number(ids: Labels) -> tuple[Ints, Ints, Ints]:
    """Ids that occur, their areas, and per pixel the index of its id + 1, 0 for background."""
    flat = ids.ravel().astype(np.int64)
    if flat.size and flat.min() < 0:
        raise RegdataError(f"expected instance ids from 0 on, got {flat.min()}")
    if flat.size and flat.max() > 4 * flat.size:  # a table of all ids would outgrow the map
        present, place = np.unique(flat, return_inverse=True)
        flat, names = place + int(present[0] != 0), present[present > 0]
    else:
        names = np.flatnonzero(np.bincount(flat, minlength=1)[1:]) + 1
        table = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
        table[names] = np.arange(1, len(names) + 1)
        flat = table[flat]
    return names, np.bincount(flat, minlength=len(names) + 1)[1:], flat


def _joint(a: Ints, b: Ints, columns: int, dense: int) -> tuple[Ints, Ints, Ints]:
    """Row, column and count of every pair of values that occurs."""
    key = a * columns + b
    if key.size == 0:
        return key, key, key
    if int(key.max()) < dense:
        table = np.bincount(key)
        cells = np.flatnonzero(table)
        counts = table[cells]
    else:
        cells, counts = np.unique(key, return_counts=True)
    return cells // columns, cells % columns, counts


def dice(pairs: Overlaps) -> float | None:
    """Dice of the foregrounds; None where neither map has a nucleus."""
    total = int(pairs.true_area.sum() + pairs.predicted_area.sum())
    return 2 * int(pairs.shared.sum()) / total if total else None


def dice2(pairs: Overlaps) -> float | None:
    """Dice over every pair that overlaps, its nuclei counted once per pair (Vu et al., 2019).

    0 where no pair overlaps; None where neither map has a nucleus.
    """
    total = int((pairs.true_area[pairs.rows] + pairs.predicted_area[pairs.columns]).sum())
    if total:
        return 2 * int(pairs.shared.sum()) / total
    return 0.0 if len(pairs.true_ids) + len(pairs.predicted_ids) else None


def aji(pairs: Overlaps) -> float | None:
    """Aggregated Jaccard index (Kumar et al., 2017); None where neither map has a nucleus.

    Each annotated nucleus takes the predicted one of highest IoU, which others may take too;
    nuclei that none takes are added to the union.
    """
    order = np.lexsort((pairs.columns, -pairs.iou, pairs.rows))
    _, first = np.unique(pairs.rows[order], return_index=True)
    return _jaccard(pairs, order[first])


def aji_plus(pairs: Overlaps) -> float | None:
    """AJI with one-to-one pairs of highest total IoU (Graham et al., 2019)."""
    return _jaccard(pairs, assigned(pairs))


def assigned(pairs: Overlaps) -> Ints:
    """(P,) int64, indices of the overlapping pairs in the assignment of highest total IoU."""
    size = len(pairs.true_ids)
    nodes = size + len(pairs.predicted_ids)
    edges = (pairs.rows, pairs.columns + size)
    graph = csr_matrix((np.ones(len(pairs.rows), np.int8), edges), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1][pairs.rows] if nodes else pairs.rows
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    chosen = [_one_to_one(pairs, part) for part in parts if len(part)]
    return np.concatenate([np.zeros(0, np.int64), *chosen])


def _one_to_one(pairs: Overlaps, part: Ints) -> Ints:
    """Of some pairs, those of the best assignment."""
    if len(part) == 1:
        return part
    _, r = np.unique(pairs.rows[part], return_inverse=True)
    _, c = np.unique(pairs.columns[part], return_inverse=True)
    iou = np.zeros((int(r.max()) + 1, int(c.max()) + 1))
    edge = np.full(iou.shape, -1, np.int64)
    iou[r, c], edge[r, c] = pairs.iou[part], part
    chosen: Ints = edge[linear_sum_assignment(iou, maximize=True)]
    return chosen[chosen >= 0]


def _jaccard(pairs: Overlaps, chosen: Ints) -> float | None:
    """Shared area of the chosen pairs over their unions and the area of nuclei in none."""
    alone = np.delete(pairs.true_area, pairs.rows[chosen]).sum()
    spurious = np.delete(pairs.predicted_area, pairs.columns[chosen]).sum()
    union = int(pairs.union[chosen].sum() + alone + spurious)
    return int(pairs.shared[chosen].sum()) / union if union else None
