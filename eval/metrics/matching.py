"""One-to-one matching of points within a radius: optimal, greedy, and as a full assignment."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix, diags, hstack
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from regdata.arrays import Ints
from regdata.errors import RegdataError

_DENSE = 1_000_000  # entries of a cost matrix; larger components are solved sparsely
_SLACK = 1e-9  # relative; 3.75 um / 0.2 um/px must not lose a pair to the last bit of a float
_ROUGH = 1e-5  # relative; float32 distances may fall to either side of the radius
_WHOLE = 400_000_000  # entries of a full assignment, 3.2 GB

Distances = NDArray[np.float64]


def match_points(
    annotated: NDArray[np.float64], predicted: NDArray[np.float64], radius: float
) -> Ints:
    """Best one-to-one pairs of points: as many as possible, then the least sum of distances.

    Points further apart than `radius` are never paired; a distance equal to it counts. The
    pairs are optimal, and of several equally good choices the positions decide, so they depend
    neither on the order of the points nor on a score (coincident points stand in their order).

    Parameters
    ----------
    annotated
        (N, D) float, x and y in any unit; a further column may keep groups of points apart.
    predicted
        (M, D) float, same unit and origin.
    radius
        Same unit.

    Returns
    -------
    array
        (K, 2) int64, rows (index into `annotated`, index into `predicted`), in order of the
        first; K may be 0.

    Examples
    --------
    >>> import numpy as np
    >>> match_points(np.array([[0.0, 0], [4, 0]]), np.array([[3.0, 0], [90, 0]]), 3).tolist()
    [[1, 0]]
    """
    if len(annotated) == 0 or len(predicted) == 0:
        return np.zeros((0, 2), np.int64)
    here, there = _by_position(annotated), _by_position(predicted)
    a, b = annotated[here], predicted[there]
    rows, cols, distances = _candidates(a, b, radius * (1 + _SLACK))
    edges = best_edges(rows, cols, distances)
    pairs = np.stack([here[rows[edges]], there[cols[edges]]], axis=1)
    return pairs[np.argsort(pairs[:, 0])]


def match_greedily(
    takers: NDArray[np.float64],
    offered: NDArray[np.float64],
    radius: float,
    order: Ints,
    single: bool = False,
) -> Ints:
    """Pairs from each taker in turn taking the nearest offered point that is still free.

    Of offered points equally near, the first is taken. A distance equal to `radius` counts.

    Parameters
    ----------
    takers, offered
        (N, D) and (M, D) float, in one unit, as in `match_points`.
    radius
        Largest distance of a pair, same unit.
    order
        (N,) int64, indices of the takers in the order in which they choose.
    single
        Compare distances in float32, as some published code does.

    Returns
    -------
    array
        (K, 2) int64, rows (index into `takers`, index into `offered`), in order of the first.

    Examples
    --------
    >>> near, far = np.array([[1.0, 0], [0, 0]]), np.array([[1.0, 0], [5, 0]])
    >>> match_greedily(near, far, 6, np.array([1, 0])).tolist()
    [[0, 1], [1, 0]]
    """
    if len(takers) == 0 or len(offered) == 0:
        return np.zeros((0, 2), np.int64)
    rows, cols, distances = _candidates(takers, offered, radius * (1 + _ROUGH))
    if single:
        apart = takers[rows].astype(np.float32) - offered[cols].astype(np.float32)
        distances = np.sqrt((apart * apart).sum(axis=1)).astype(np.float64)
    within = distances <= radius
    rows, cols, distances = rows[within], cols[within], distances[within]
    rank = np.empty(len(takers), np.int64)
    rank[order] = np.arange(len(takers))
    turns = np.lexsort((cols, distances, rank[rows]))
    done, taken = bytearray(len(takers)), bytearray(len(offered))
    pairs = []
    for taker, point in zip(rows[turns].tolist(), cols[turns].tolist(), strict=True):
        if not done[taker] and not taken[point]:
            done[taker] = taken[point] = 1
            pairs.append((taker, point))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def match_assigned(
    annotated: NDArray[np.float64], predicted: NDArray[np.float64], radius: float
) -> Ints:
    """Pairs within the radius, from the assignment of least total distance over *all* points.

    HoVer-Net works in this order: as many pairs as there can be are formed whatever their
    distance, so a far pair can cost a near one. Use `match_points` instead wherever no published
    number has to be reproduced.

    Parameters
    ----------
    annotated, predicted
        (N, D) and (M, D) float, in one unit.
    radius
        Largest distance of a pair, same unit.

    Returns
    -------
    array
        (K, 2) int64, rows (index into `annotated`, index into `predicted`).

    Raises
    ------
    RegdataError
        There are too many points for a matrix of all distances.
    """
    if len(annotated) * len(predicted) > _WHOLE:
        raise RegdataError(
            f"an assignment of all {len(annotated)} x {len(predicted)} points of an image needs "
            "a matrix of all distances; score smaller images or use the preset regdata"
        )
    if len(annotated) == 0 or len(predicted) == 0:
        return np.zeros((0, 2), np.int64)
    distances = cdist(annotated, predicted)
    rows, cols = linear_sum_assignment(distances)
    kept = distances[rows, cols] <= radius
    return np.stack([rows[kept], cols[kept]], axis=1).astype(np.int64)


def best_edges(rows: Ints, cols: Ints, costs: Distances) -> Ints:
    """(K,) int64, indices of the candidates that form the best one-to-one choice.

    Best is the most pairs, then the least total cost.

    Parameters
    ----------
    rows, cols
        (E,) int64, the candidates; each pair once.
    costs
        (E,) float from 0 on.
    """
    if len(rows) == 0:
        return np.zeros(0, np.int64)
    component = _components(rows, cols, int(rows.max()) + 1, int(cols.max()) + 1)
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    chosen = [order[starts[lengths == 1]]]  # a lone candidate is its own best matching
    for start, length in zip(starts[lengths > 1], lengths[lengths > 1], strict=True):
        part = order[start : start + length]
        chosen.append(part[_assign(rows[part], cols[part], costs[part])])
    return np.concatenate(chosen)


def _by_position(points: NDArray[np.float64]) -> Ints:
    """Order of points by their last column, then the one before it."""
    order: Ints = np.lexsort(points.T).astype(np.int64)
    return order


def _candidates(
    a: NDArray[np.float64], b: NDArray[np.float64], radius: float
) -> tuple[Ints, Ints, Distances]:
    """All pairs within the radius as (row, column, distance)."""
    near = cKDTree(a).sparse_distance_matrix(cKDTree(b), radius, output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))  # the tree promises no order
    near = near[order]
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"].astype(np.float64)


def _components(rows: Ints, cols: Ints, n: int, m: int) -> Ints:
    """(E,) number of the connected component of each candidate pair."""
    graph = csr_matrix((np.ones(len(rows), np.int8), (rows, cols + n)), shape=(n + m, n + m))
    _, label = connected_components(graph, directed=False)
    component: Ints = label[rows].astype(np.int64)
    return component


def _assign(rows: Ints, cols: Ints, distances: Distances) -> Ints:
    """Indices of the best candidates of one component."""
    _, r = np.unique(rows, return_inverse=True)
    _, c = np.unique(cols, return_inverse=True)
    n, m = int(r.max()) + 1, int(c.max()) + 1
    # Leaving a point without a partner costs more than any detour over the whole component.
    alone = (min(n, m) + 1) * (float(distances.max()) + 1)
    if n * m > _DENSE:
        return _assign_sparse(r, c, distances, alone)
    edge = np.full((n, m), -1, np.int64)
    edge[r, c] = np.arange(len(r))
    cost = np.full((n, m), alone)
    cost[r, c] = distances
    chosen: Ints = edge[linear_sum_assignment(cost)]
    return chosen[chosen >= 0]


def _assign_sparse(r: Ints, c: Ints, distances: Distances, alone: float) -> Ints:
    """As `_assign` where the full cost matrix would not fit, with a dummy column per row."""
    n, m = int(r.max()) + 1, int(c.max()) + 1
    # + 1: a stored zero would count as "no candidate"; the same for all, so nothing changes.
    cost = csr_matrix((distances + 1, (r, c)), shape=(n, m))
    full = hstack([cost, diags(np.full(n, alone + 1))]).tocsr()
    row, col = min_weight_full_bipartite_matching(full)
    edge = csr_matrix((np.arange(1, len(r) + 1), (r, c)), shape=(n, m))
    real = col < m
    chosen: Ints = np.asarray(edge[row[real], col[real]]).ravel().astype(np.int64) - 1
    return chosen
