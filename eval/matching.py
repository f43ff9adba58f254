"""One-to-one matching of predicted points to annotated points within a radius."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix, diags, hstack
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

_DENSE = 1_000_000  # entries of a cost matrix; larger components are solved sparsely
_SLACK = 1e-9  # relative; 3.75 um / 0.2 um/px must not lose a pair to the last bit of a float

Indices = NDArray[np.int64]
Distances = NDArray[np.float64]


def match_points(
    annotated: NDArray[np.float64], predicted: NDArray[np.float64], radius: float
) -> Indices:
    """Best one-to-one pairs: as many as possible, then the least sum of distances.

    Points further apart than `radius` are never paired; a distance equal to it counts. The
    pairs are optimal, so they depend neither on the order of the points nor on a score.

    Parameters
    ----------
    annotated
        (N, 2) float, x and y in any unit.
    predicted
        (M, 2) float, same unit and origin.
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
    rows, cols, distances = _candidates(annotated, predicted, radius * (1 + _SLACK))
    component = _components(rows, cols, len(annotated), len(predicted))
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    chosen = [order[starts[lengths == 1]]]  # a lone candidate is its own best matching
    for start, length in zip(starts[lengths > 1], lengths[lengths > 1], strict=True):
        part = order[start : start + length]
        chosen.append(part[_assign(rows[part], cols[part], distances[part])])
    edges = np.concatenate(chosen)
    pairs = np.stack([rows[edges], cols[edges]], axis=1)
    return pairs[np.argsort(pairs[:, 0])]


def _candidates(
    a: NDArray[np.float64], b: NDArray[np.float64], radius: float
) -> tuple[Indices, Indices, Distances]:
    """All pairs within the radius as (row, column, distance)."""
    near = cKDTree(a).sparse_distance_matrix(cKDTree(b), radius, output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))  # the tree's own order is no promise
    near = near[order]
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"].astype(np.float64)


def _components(rows: Indices, cols: Indices, n: int, m: int) -> Indices:
    """Give each candidate pair the number of its connected component."""
    graph = csr_matrix((np.ones(len(rows), np.int8), (rows, cols + n)), shape=(n + m, n + m))
    _, label = connected_components(graph, directed=False)
    component: Indices = label[rows].astype(np.int64)
    return component


def _assign(rows: Indices, cols: Indices, distances: Distances) -> Indices:
    """Choose among the candidates of one component; gives their indices."""
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
    chosen: Indices = edge[linear_sum_assignment(cost)]
    return chosen[chosen >= 0]


def _assign_sparse(r: Indices, c: Indices, distances: Distances, alone: float) -> Indices:
    """Do the same where the full cost matrix would not fit, with a dummy column per row."""
    n, m = int(r.max()) + 1, int(c.max()) + 1
    # + 1: a stored zero would count as "no candidate"; the same for all, so nothing changes.
    cost = csr_matrix((distances + 1, (r, c)), shape=(n, m))
    full = hstack([cost, diags(np.full(n, alone + 1))]).tocsr()
    row, col = min_weight_full_bipartite_matching(full)
    edge = csr_matrix((np.arange(1, len(r) + 1), (r, c)), shape=(n, m))
    real = col < m
    chosen: Indices = np.asarray(edge[row[real], col[real]]).ravel().astype(np.int64) - 1
    return chosen
