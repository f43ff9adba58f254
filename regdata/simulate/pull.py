"""The picture a warp makes: planes in the H&E frame pulled into the IF frame, block by block.

Conventions
-----------
Pixel i of either picture covers i..i + 1 and has its centre at (i + 0.5) * mpp µm, (x, y),
corner origin. The map used is the inverse of `he_to_if`: where an IF pixel comes from.
"""

import math

import numpy as np
from numpy.typing import NDArray

from regdata.simulate.warp import Warp
from regdata.slides import Box, pull

_NODES = 8  # pixels between two exact positions; between them linear is good enough


def source(warp: Warp, box: Box, if_mpp: float, he_mpp: float) -> NDArray[np.float32]:
    """Positions on the H&E of the pixels of an IF box, (2, h, w) float32 H&E pixels.

    Returns
    -------
    array
        (2, h, w) x and y, H&E pixels, corner origin.
    """
    columns, to_columns = _nodes(box.w)
    rows, to_rows = _nodes(box.h)
    x, y = np.meshgrid(columns + box.x, rows + box.y)
    exact = warp.inverse_points((np.stack([x, y], -1) + 0.5) * if_mpp) / he_mpp
    return np.stack([to_rows @ exact[..., k] @ to_columns.T for k in (0, 1)]).astype(np.float32)


def pulled(planes: NDArray[np.uint16], xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of planes (C, H, W) at positions (2, h, w) px, (C, h, w); 0 outside."""
    height, width = planes.shape[1:]
    low = [max(0, math.floor(float(p.min())) - 2) for p in xy]
    high = [math.ceil(float(p.max())) + 2 for p in xy]
    x0, x1 = min(low[0], width - 1), max(min(high[0], width), 1)
    y0, y1 = min(low[1], height - 1), max(min(high[1], height), 1)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    near = planes[:, y0:y1, x0:x1]
    at = xy.transpose(1, 2, 0)
    return np.stack([pull(plane, at, (x0, y0)) for plane in near]).astype(np.float32)


def _nodes(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of nodes along one side and the (length, nodes) matrix that interpolates."""
    count = max(2, -(-(length - 1) // _NODES) + 1)
    nodes = np.arange(count, dtype=np.float64) * _NODES
    place = np.arange(length)[:, None] / _NODES
    weights = np.maximum(0, 1 - np.abs(place - np.arange(count)))
    return np.asarray(nodes, np.float64), np.asarray(weights, np.float64)
