"""The pixels that belong to each nucleus of a region: its own, and those of the ring around it.

A nucleus's own pixels are those inside its contour, the contour included. Nuclei that overlap
keep all of their pixels, so lists are kept and not one map of numbers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.cells import CellTable


@dataclass(frozen=True)
class Footprints:
    """Pixels of N nuclei in one region.

    Attributes
    ----------
    pixels
        (P,) int32, index into the flat region, nucleus after nucleus.
    offsets
        (N + 1,) int64; nucleus i owns pixels[offsets[i]:offsets[i + 1]].
    """

    pixels: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @property
    def area(self) -> NDArray[np.int64]:
        """(N,) number of pixels."""
        return np.diff(self.offsets)

    def share(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(N,) share of the pixels of each nucleus that lie in a mask; 0 without pixels.

        Parameters
        ----------
        mask
            (h, w) bool, of the region.
        """
        inside = np.concatenate([[0], np.cumsum(mask.reshape(-1)[self.pixels], dtype=np.int64)])
        hits = inside[self.offsets[1:]] - inside[self.offsets[:-1]]
        return np.asarray(hits / np.maximum(self.area, 1), np.float32)


def footprints(
    cells: CellTable, corner: tuple[float, float], size: tuple[int, int], step: float
) -> Footprints:
    """The pixels of each nucleus in a region, those of its boundary included.

    Parameters
    ----------
    cells
        In level-0 pixels.
    corner
        Top-left corner of the region, level-0 pixels.
    size
        (w, h) of the region; pixels outside it are left out.
    step
        Level-0 pixels per pixel of the region.
    """
    # contours run through pixel centres: index = point - 0.5
    index = (cells.vertices - np.asarray(corner)) / step - 0.5
    return polygons(np.rint(index).astype(np.int32), cells.offsets, size)


def polygons(
    vertices: NDArray[np.int32], offsets: NDArray[np.int64], size: tuple[int, int]
) -> Footprints:
    """The pixels of each polygon, filled as by OpenCV, boundary included.

    Parameters
    ----------
    vertices
        (V, 2) x, y, indices of pixels.
    offsets
        (N + 1,) polygon i owns vertices[offsets[i]:offsets[i + 1]]; none is empty.
    size
        (w, h) of the image.

    Examples
    --------
    >>> square = np.array([[1, 1], [2, 1], [2, 2], [1, 2]], np.int32)
    >>> polygons(square, np.array([0, 4]), (4, 4)).pixels.tolist()
    [5, 6, 9, 10]
    """
    w, h = size
    count = len(offsets) - 1
    if count == 0:
        return Footprints(np.zeros(0, np.int32), np.zeros(1, np.int64))
    low = np.minimum.reduceat(vertices, offsets[:-1])
    high = np.maximum.reduceat(vertices, offsets[:-1]) + 1
    inside: list[bool] = np.all((low >= 0) & (high <= (w, h)), axis=1).tolist()
    local = vertices - np.repeat(low, np.diff(offsets), axis=0)
    sides, starts, corners = (high - low).tolist(), offsets.tolist(), low.tolist()
    lists = []
    for i in range(count):
        (x, y), (width, height) = corners[i], sides[i]
        patch = np.zeros((height, width), np.uint8)
        cv2.fillPoly(patch, [local[starts[i] : starts[i + 1]]], 1)
        lists.append(_flat(patch, x, y, w) if inside[i] else _clipped(patch, x, y, w, h))
    ends = np.cumsum([0, *map(len, lists)])
    return Footprints(np.concatenate(lists), ends.astype(np.int64))


@njit(cache=True, nogil=True)
def _flat(patch: NDArray[np.uint8], x: int, y: int, w: int) -> NDArray[np.int32]:
    out = np.empty(patch.sum(), np.int32)
    k = 0
    for row in range(patch.shape[0]):
        for column in range(patch.shape[1]):
            if patch[row, column]:
                out[k] = (y + row) * w + x + column
                k += 1
    return out


def _clipped(patch: NDArray[np.uint8], x: int, y: int, w: int, h: int) -> NDArray[np.int32]:
    rows, columns = np.nonzero(patch)
    rows, columns = rows + y, columns + x
    keep = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    return (rows[keep] * w + columns[keep]).astype(np.int32)


def owners(
    nuclei: Footprints, size: tuple[int, int], rank: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """Map of the region: i + 1 where nucleus i lies, the last where several do, 0 elsewhere.

    Parameters
    ----------
    size
        (w, h) of the region.
    rank
        (N,) which of several is the last: that of the highest rank; by default their order.
    """
    w, h = size
    owner = np.zeros(h * w, np.int32)
    order = np.arange(len(nuclei.area)) if rank is None else np.argsort(rank, kind="stable")
    _draw(owner, nuclei.pixels, nuclei.offsets, order)
    return owner.reshape(h, w)


@njit(cache=True, nogil=True)
def _draw(
    owner: NDArray[np.int32],
    pixels: NDArray[np.int32],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
) -> None:
    for i in order:
        for k in range(offsets[i], offsets[i + 1]):
            owner[pixels[k]] = i + 1


def rings(owner: NDArray[np.int32], width: float, count: int) -> Footprints:
    """Pixels around each nucleus, no further than `width` and nearer to it than to any other.

    Parameters
    ----------
    owner
        (h, w) map of all nuclei of the region, also of those whose ring is not wanted.
    width
        Pixels.
    count
        Number of nuclei that get a ring; they come first.
    """
    if not owner.any():
        return Footprints(np.zeros(0, np.int32), np.zeros(count + 1, np.int64))
    distance, nearest = cv2.distanceTransformWithLabels(
        (owner == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[owner > 0]] = owner[owner > 0]
    around = np.where((distance > 0) & (distance <= width), numbers[nearest], 0)
    around[around > count] = 0
    return grouped(around.reshape(-1), count)


def grouped(owner: NDArray[np.int32], count: int) -> Footprints:
    """The pixels of each nucleus, from a map that says whose each pixel is.

    Parameters
    ----------
    owner
        (P,) number of the nucleus a pixel belongs to, 1..count, 0 for none.
    """
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count + 1)[1:])])
    return Footprints(_by_owner(owner, offsets), offsets.astype(np.int64))


@njit(cache=True, nogil=True)
def _by_owner(owner: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    out = np.empty(offsets[-1], np.int32)
    place = offsets.copy()
    for pixel in range(len(owner)):
        number = owner[pixel]
        if number > 0:
            out[place[number - 1]] = pixel
            place[number - 1] += 1
    return out
