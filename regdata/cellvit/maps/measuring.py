"""Measuring the nuclei of one tile: one pass over its pixels, no scan of it per nucleus."""

import cv2
import numpy as np
from numba import njit

from regdata.arrays import Floats, Ints
from regdata.cells import CellTable
from regdata.cellvit.maps.maps import Labels, MapReader, PostprocessSettings
from regdata.cellvit.maps.token_shares import TokenGrid, token_shares


def measure_nuclei(
    instances: Labels,
    reader: MapReader,
    grid: TokenGrid,
    mpp: float,
    settings: PostprocessSettings,
) -> tuple[Labels, CellTable]:
    """Measure the nuclei of one tile and leave out what is none.

    Parameters
    ----------
    instances
        (H, W) int32 instances, 0 = background; numbers need not be contiguous.
    mpp
        Micrometres per pixel of the tile.

    Returns
    -------
    instances, cells
        Nucleus i + 1 of the map is row i of the table; they keep their order. Positions in
        pixels of the tile, corner origin. Left out are nuclei whose contour has fewer than 3
        points, that are smaller than `min_area` or whose class is background.
    """
    count = int(instances.max(initial=0))
    area, centre, box = _extents(instances, count)
    probability, by_kind = reader.sums(instances, count, settings.kinds == "votes")
    kind, share = (_elect if settings.kinds == "votes" else _likeliest)(by_kind, area)
    index = np.flatnonzero((area >= max(1, settings.min_area)) & (kind > 0))
    lines = [_outline(instances, i, box[i]) for i in index.tolist()]
    length = np.array([len(line) for line in lines], np.int64)
    index, length = index[length >= 3], length[length >= 3]
    points = [np.zeros((0, 2), np.int32), *(line for line in lines if len(line) >= 3)]
    instances = _renumber(instances, index, count)
    shares = token_shares(instances, box[index], grid, settings.tokens)
    cells = CellTable(
        xy=centre[index] + 0.5,  # from indices, which count pixel centres, to a corner origin
        vertices=(np.concatenate(points) + 0.5).astype(np.float32),
        offsets=np.concatenate([[0], np.cumsum(length)]),
        tokens=reader.mean_tokens(shares),
        kind=kind[index].astype(np.uint8),
        kind_probability=share[index].astype(np.float32),
        probability=(probability[index] / area[index]).astype(np.float32),
        area_um2=(area[index] * mpp**2).astype(np.float32),
        flags=np.zeros(len(index), np.uint8),
    )
    return instances, cells


def _likeliest(by_kind: Floats, area: Ints) -> tuple[Ints, Floats]:
    """The kind of the highest sum of probabilities, background apart, and its share of them."""
    sums = by_kind[:, 1:] / np.maximum(area, 1)[:, None]
    return sums.argmax(1) + 1, sums.max(1) / np.maximum(sums.sum(1), 1e-6)


def _elect(votes: Floats, area: Ints) -> tuple[Ints, Floats]:
    """The kind of most votes and its share; background is elected only where it stands alone."""
    rivals = votes[:, 1:]
    kind = np.where(rivals.max(1) > 0, rivals.argmax(1) + 1, 0)
    return kind, votes[np.arange(len(votes)), kind] / (area + 1e-6)


def _outline(instances: Labels, i: int, box: Ints) -> Labels:
    """(n, 2) outer contour, indices (x, y) of border pixels."""
    top, left, bottom, right = box.tolist()
    mask = (instances[top:bottom, left:right] == i).view(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
    return np.asarray(contours[0][:, 0], dtype=np.int32)


def _renumber(instances: Labels, index: Ints, count: int) -> Labels:
    """Instance index[k] becomes k + 1, others background."""
    if len(index) == count:
        return instances
    number = np.zeros(count + 1, np.int32)
    number[index] = np.arange(1, len(index) + 1)
    return number[instances]


@njit(cache=True, nogil=True)
def _extents(instances: Labels, count: int) -> tuple[Ints, Floats, Ints]:
    """Area, centre (x, y) as indices and box (top, left, bottom, right) of instances 0..count.

    For a tile of 1024 px with 246 nuclei this takes 0.7 ms, skimage's regionprops_table 16 ms.
    """
    area = np.zeros(count + 1, np.int64)
    centre = np.zeros((count + 1, 2))
    box = np.zeros((count + 1, 4), np.int64)
    box[:, :2] = max(instances.shape)
    for y in range(instances.shape[0]):
        for x in range(instances.shape[1]):
            i = instances[y, x]
            if i > 0:
                area[i] += 1
                centre[i, 0] += x
                centre[i, 1] += y
                box[i, 0] = min(box[i, 0], y)
                box[i, 1] = min(box[i, 1], x)
                box[i, 2] = y + 1
                box[i, 3] = max(box[i, 3], x + 1)
    for i in range(count + 1):
        centre[i] /= max(area[i], 1)
    return area, centre, box
