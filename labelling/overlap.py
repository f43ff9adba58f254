"""How much of each nucleus lies inside a marker's mask."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.slide import Slide

_BLOCK = 1024  # pixels a side worked on at once


def rasterise(
    cells: CellTable, corner: tuple[float, float], size: tuple[int, int], step: float
) -> NDArray[np.int32]:
    """Draw nuclei, boundary included, into a map of their numbers.

    Parameters
    ----------
    cells
        In level-0 pixels.
    corner
        Top-left corner of the map, level-0 pixels.
    size
        (w, h) of the map.
    step
        Level-0 pixels per pixel of the map.

    Returns
    -------
    array
        (h, w) int32; i + 1 inside cell i, 0 outside all.
    """
    canvas = np.zeros((size[1], size[0]), np.int32)
    for i in range(len(cells)):
        # contours run through pixel centres: index = point - 0.5
        points = (cells.contour(i) - np.asarray(corner)) / step - 0.5
        cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], i + 1)
    return canvas


def share_inside(
    labels: NDArray[np.int32], mask: NDArray[np.bool_], count: int
) -> NDArray[np.float32]:
    """Share of each nucleus's pixels that lie inside the mask.

    Parameters
    ----------
    labels
        (H, W) 1..count, 0 = background.
    mask
        (H, W).

    Returns
    -------
    array
        (count,) float32; 0 for a nucleus without pixels.

    Examples
    --------
    >>> import numpy as np
    >>> share_inside(np.array([[1, 1, 2, 2]]), np.array([[True, False, True, True]]), 2).tolist()
    [0.5, 1.0]
    """
    size = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    inside = np.bincount(labels[mask], minlength=count + 1)[1:]
    share: NDArray[np.float32] = (inside / np.maximum(size, 1)).astype(np.float32)
    return share


def overlaps(cells: CellTable, marker: Slide, threshold: float, step: float) -> NDArray[np.float32]:
    """Share of each nucleus where the marker exceeds its threshold.

    Parameters
    ----------
    cells
        In level-0 pixels of the frame of `marker`.
    marker
        The marker in the H&E frame, its background subtracted; one channel.
    threshold
        A pixel above it is stained.
    step
        Level-0 pixels per pixel at which nuclei are rasterised; the network's resolution.

    Returns
    -------
    array
        (N,) float32.
    """
    out = np.zeros(len(cells), np.float32)
    for index, corner, size in _blocks(cells, step):
        here = cells.take(index)
        image = marker.read(corner, size, step)[0]
        labels = rasterise(here, corner, size, step)
        out[index] = share_inside(labels, image > threshold, len(index))
    return out


def _blocks(
    cells: CellTable, step: float
) -> Iterator[tuple[NDArray[np.int64], tuple[float, float], tuple[int, int]]]:
    """Cells grouped by block, with the region that holds all of their contours."""
    if len(cells) == 0:
        return
    low = np.minimum.reduceat(cells.vertices, cells.offsets[:-1])
    high = np.maximum.reduceat(cells.vertices, cells.offsets[:-1])
    block = np.floor(cells.xy / (_BLOCK * step)).astype(np.int64)
    _, group = np.unique(block, axis=0, return_inverse=True)
    group = group.reshape(-1)
    for g in range(int(group.max()) + 1):
        index = np.flatnonzero(group == g)
        # whole steps from the slide's corner, so that nuclei fall on the pixels they were found on
        start = np.floor(low[index].min(0) / step - 1)
        stop = np.ceil(high[index].max(0) / step + 1)
        w, h = (stop - start).astype(int).tolist()
        yield index, (float(start[0] * step), float(start[1] * step)), (w, h)
