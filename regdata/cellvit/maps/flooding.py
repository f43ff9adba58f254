"""Flooding a depth map from markers, in the order of scikit-image's watershed (0.19 to 0.26).

That order: the deepest pixel first, of equals the one queued first; the neighbours above, left,
right and below are labelled as they are queued. Pixels of markers are queued before all others;
which of two equally deep ones comes first scikit-image leaves to its queue, here it is the upper
or left one. Parts of the mask do not touch, so each is flooded by itself, with a queue small
enough for the processor's cache.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.cellvit.maps.maps import Labels

_AGE = 0xFFFFFFFF  # the half of a key that says when its pixel was queued


@njit(cache=True, nogil=True)
def flood_parts(
    depth: Labels, markers: Labels, runs: NDArray[np.int32], starts: NDArray[np.int64]
) -> Labels:
    """Flood the parts of a mask from their markers, the deepest pixels first.

    Parameters
    ----------
    depth
        (H + 2, W + 2) int32, padded by the pixel that a 3x3 blur mirrors.
    markers
        (H, W) int32, 0 = none.
    runs, starts
        (R, 3) int32 row, first column, column after the last; part i has the runs
        starts[i]:starts[i + 1], starts being (count + 1,).

    Returns
    -------
    array
        (H, W) int32, number of the marker that reached each pixel of the mask, 0 elsewhere.
    """
    labels = np.full(depth.shape, -1, np.int32)
    most = 0
    for part in range(len(starts) - 1):
        area = 0
        for row, start, stop in runs[starts[part] : starts[part + 1]]:
            labels[row + 1, start + 1 : stop + 1] = markers[row, start:stop]
            area += stop - start
        most = max(most, area)
    heap = np.empty(most, np.int64)
    where = np.empty(most, np.int64)
    for part in range(len(starts) - 1):
        seeds = _seed(depth, labels, runs[starts[part] : starts[part + 1]], heap, where)
        _grow(depth.ravel(), labels.ravel(), depth.shape[1], (heap, where, seeds))
    return np.maximum(labels[1:-1, 1:-1], np.int32(0))


@njit(cache=True, nogil=True)
def _seed(
    depth: Labels,
    labels: Labels,
    runs: NDArray[np.int32],
    heap: NDArray[np.int64],
    where: NDArray[np.int64],
) -> int:
    """Queue the pixels of markers that have something to flood; their number."""
    width = depth.shape[1]
    flat = labels.ravel()
    seeds = 0
    for row, start, stop in runs:
        first = (row + 1) * width + 1
        for i in range(first + start, first + stop):
            if flat[i] > 0 and (
                flat[i - width] == 0 or flat[i - 1] == 0 or flat[i + 1] == 0 or flat[i + width] == 0
            ):
                where[seeds] = i
                _push(heap, seeds, _key(depth.ravel(), i, width, seeds))
                seeds += 1
    return seeds


@njit(cache=True, nogil=True)
def _grow(
    depth: NDArray[np.int32],
    labels: NDArray[np.int32],
    width: int,
    queue: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> None:
    """Flood from the queued pixels, in place, each pixel labelled as it is queued."""
    heap, where, size = queue
    age = size
    while size > 0:
        i = where[heap[0] & _AGE]
        size -= 1
        _sink(heap, size)
        for j in (i - width, i - 1, i + 1, i + width):
            if labels[j] == 0:
                labels[j] = labels[i]
                where[age] = j
                _push(heap, size, _key(depth, j, width, age))
                size += 1
                age += 1


@njit(cache=True, nogil=True)
def _key(depth: NDArray[np.int32], i: int, width: int, age: int) -> np.int64:
    """Place in the queue: deepest first (blurred 3x3, weights 1 2 1), then oldest."""
    above, below = i - width, i + width
    corners = depth[above - 1] + depth[above + 1] + depth[below - 1] + depth[below + 1]
    sides = depth[above] + depth[i - 1] + depth[i + 1] + depth[below]
    blurred = np.int64(corners) + 2 * np.int64(sides) + 4 * np.int64(depth[i])
    return ((np.int64(1) << 30) - blurred) << 32 | np.int64(age)


@njit(cache=True, nogil=True)
def _push(heap: NDArray[np.int64], size: int, key: np.int64) -> None:
    child = size
    while child > 0:
        parent = (child - 1) >> 1
        if heap[parent] <= key:
            break
        heap[child] = heap[parent]
        child = parent
    heap[child] = key


@njit(cache=True, nogil=True)
def _sink(heap: NDArray[np.int64], size: int) -> None:
    """Replace the first of `size` + 1 keys by the last."""
    key = heap[size]
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = key
