"""Which nuclei of different tiles cover each other."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.arrays import Ints
from regdata.cells import CellTable

_SHARE = 0.3
"""Two masks show the same nucleus when they share more than this part of the smaller one."""


def overlapping(cells: CellTable, tile: Ints) -> tuple[Ints, Ints]:
    """Pairs of cells from different tiles of which one covers more than 30 % of the other.

    Parameters
    ----------
    cells
        Cells of several tiles in common pixels, (x, y), corner origin; their contours run through
        the centres of border pixels, which belong to the nucleus.
    tile
        (N,) number of the tile of each; cells of one tile are never a pair.

    Returns
    -------
    pairs
        (P, 2) int64, indices of cells.
    area
        (N,) int64, pixels inside and on each contour.
    """
    if len(cells) == 0:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    # contours run through pixel centres: index = point - 0.5
    points = np.round(cells.vertices - np.float32(0.5)).astype(np.int64)
    starts = cells.offsets[:-1]
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    boxes = np.concatenate([low, high], 1)  # (N, 4): left, top, right, bottom, inclusive
    sizes = np.prod(high - low + 1, axis=1)
    places = np.concatenate([[0], np.cumsum(sizes)])
    masks, area = _fill_all(points, cells.offsets, boxes, places)
    order = np.argsort(boxes[:, 0], kind="stable")
    return _sweep(order, boxes, tile, masks, places, area), area


@njit(cache=True, nogil=True)
def _fill_all(
    points: Ints, offsets: Ints, boxes: Ints, places: Ints
) -> tuple[NDArray[np.uint8], Ints]:
    """Masks of all contours, each within its box, one after the other; and their areas."""
    count = len(boxes)
    masks = np.zeros(places[count], np.uint8)
    area = np.zeros(count, np.int64)
    for i in range(count):
        left, top, right, bottom = boxes[i]
        mask = masks[places[i] : places[i + 1]].reshape(bottom - top + 1, right - left + 1)
        outline = points[offsets[i] : offsets[i + 1]]
        _fill_inside(outline, left, top, mask)
        _draw(outline, left, top, mask)
        area[i] = mask.sum()
    return masks, area


@njit(cache=True, nogil=True)
def _fill_inside(outline: Ints, left: int, top: int, mask: NDArray[np.uint8]) -> None:
    """Set the pixels with an odd number of contour crossings at or left of them."""
    for i in range(len(outline)):
        x0, y0 = outline[i - 1]
        x1, y1 = outline[i]
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        for y in range(y0, y1):
            across = -((y - y0) * (x0 - x1) // (y1 - y0))  # rounded up
            mask[y - top, x0 + across - left] ^= 1
    for y in range(mask.shape[0]):
        for x in range(1, mask.shape[1]):
            mask[y, x] ^= mask[y, x - 1]


@njit(cache=True, nogil=True)
def _draw(outline: Ints, left: int, top: int, mask: NDArray[np.uint8]) -> None:
    """Set the pixels of the contour itself."""
    for i in range(len(outline)):
        x0, y0 = outline[i - 1]
        dx, dy = outline[i, 0] - x0, outline[i, 1] - y0
        steps = max(abs(dx), abs(dy), 1)
        for step in range(steps):
            x = x0 + (2 * step * dx + steps) // (2 * steps)
            y = y0 + (2 * step * dy + steps) // (2 * steps)
            mask[y - top, x - left] = 1


@njit(cache=True, nogil=True)
def _sweep(
    order: Ints,
    boxes: Ints,
    tile: Ints,
    masks: NDArray[np.uint8],
    places: Ints,
    area: Ints,
) -> Ints:
    """The pairs, by a sweep from left to right over the boxes in `order`."""
    pairs = np.empty((max(16, len(order)), 2), np.int64)
    count = 0
    for p in range(len(order)):
        a = order[p]
        for q in range(p + 1, len(order)):
            b = order[q]
            if boxes[b, 0] > boxes[a, 2]:
                break
            if tile[a] == tile[b] or boxes[a, 1] > boxes[b, 3] or boxes[b, 1] > boxes[a, 3]:
                continue
            if _shared(a, b, boxes, masks, places) > _SHARE * min(area[a], area[b]):
                if count == len(pairs):
                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                pairs[count] = min(a, b), max(a, b)
                count += 1
    return pairs[:count]


@njit(cache=True, nogil=True)
def _shared(a: int, b: int, boxes: Ints, masks: NDArray[np.uint8], places: Ints) -> int:
    """Number of pixels in both masks."""
    left, right = max(boxes[a, 0], boxes[b, 0]), min(boxes[a, 2], boxes[b, 2])
    width_a, width_b = boxes[a, 2] - boxes[a, 0] + 1, boxes[b, 2] - boxes[b, 0] + 1
    shared = 0
    for y in range(max(boxes[a, 1], boxes[b, 1]), min(boxes[a, 3], boxes[b, 3]) + 1):
        i = places[a] + (y - boxes[a, 1]) * width_a + left - boxes[a, 0]
        j = places[b] + (y - boxes[b, 1]) * width_b + left - boxes[b, 0]
        for _ in range(right - left + 1):
            shared += masks[i] & masks[j]
            i += 1
            j += 1
    return shared
