"""The marker-controlled watershed that splits touching nuclei (Graham et al., 2019)."""

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.cellvit.maps.components import Parts, fill_holes, find_parts, paint_runs
from regdata.cellvit.maps.flooding import flood_parts
from regdata.cellvit.maps.maps import Edges, Float, Labels, PostprocessSettings

_MIN_PART = 10  # pixels; smaller specks are no nuclei, whatever the resolution
_DEPTH = 2**24  # depths are whole numbers: 1 minus a float32 of 0..1 is a multiple of 2**-24
_DISC = np.array(
    [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], np.uint8
)


def flood(edges: Edges, settings: PostprocessSettings) -> Labels:
    """Nuclei of one tile: each pixel of the mask goes to the marker that floods it first.

    Returns
    -------
    array
        (H, W) int32 instances in the order of their markers' first pixels, 0 = background;
        numbers may be missing.
    """
    parts = find_parts(edges.binary)
    parts, edge = _without_specks(parts, edges.edge)
    depth, marker = _depth_and_marker(edges.binary.shape, parts.runs, edge, settings.edge)
    opened = cv2.morphologyEx(fill_holes(marker), cv2.MORPH_OPEN, _DISC)
    seeds = find_parts(np.asarray(opened, dtype=np.uint8))
    markers = np.zeros(marker.shape, np.int32)
    paint_runs(markers, seeds.runs, seeds.numbered(seeds.area() >= max(1, settings.min_marker)))
    starts = np.concatenate([[0], np.cumsum(np.bincount(parts.label, minlength=1)[1:])])
    order = np.argsort(parts.label, kind="stable")
    return flood_parts(depth, markers, parts.runs[order], starts)


def _without_specks(parts: Parts, edge: Float) -> tuple[Parts, Float]:
    """Only the parts of at least 10 pixels, and the edge at their pixels."""
    number = parts.numbered(parts.area() >= _MIN_PART)
    kept = number > 0
    pixels = np.repeat(kept, parts.runs[:, 2] - parts.runs[:, 1])
    return Parts(parts.runs[kept], number[kept], int(number.max(initial=0))), edge[pixels]


@njit(cache=True, nogil=True)
def _depth_and_marker(
    shape: tuple[int, int], runs: NDArray[np.int32], edge: Float, limit: float
) -> tuple[Labels, NDArray[np.uint8]]:
    """1 - edge in units of 2**-24, padded by the pixel a 3x3 blur mirrors, and edge < limit."""
    height, width = shape
    depth = np.zeros((height + 2, width + 2), np.int32)
    marker = np.zeros(shape, np.uint8)
    n = 0
    for row, start, stop in runs:
        for x in range(start, stop):
            value = min(max(1 - np.float64(edge[n]), -3.0), 3.0)  # so that blurred ones fit 31 bits
            depth[row + 1, x + 1] = np.rint(value * _DEPTH)
            marker[row, x] = np.float64(edge[n]) < limit
            n += 1
    depth[0], depth[-1] = depth[min(2, height)], depth[max(1, height - 1)]
    depth[:, 0], depth[:, -1] = depth[:, min(2, width)], depth[:, max(1, width - 1)]
    return depth, marker
