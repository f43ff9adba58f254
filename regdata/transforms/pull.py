"""The two inner loops of warping: points between the nodes of a grid, pixels between pixels.

In float64 throughout, and all fractions counted from absolute positions, so that a value comes
out the same to the last bit in whatever region it is computed.
"""

import numpy as np
from numba import njit

from regdata.arrays import Floats
from regdata.slides import Pixels


def between_nodes(
    nodes: Floats, step: int, start: tuple[int, int], size: tuple[int, int]
) -> Floats:
    """Points at every pixel from points at every `step`-th.

    Lagrange's cubic through four nodes: its error falls with the fourth power of `step`, and it
    keeps straight what is straight.

    Parameters
    ----------
    nodes
        (rows, columns, 2), values at the centres of the pixels `step` apart, from the node one
        before the first pixel to the node two behind the last.
    step
        Pixels between nodes.
    start
        (x, y): which pixel the first one is, counted from node 1, 0 to step - 1.
    size
        (w, h) in pixels.

    Returns
    -------
    array
        (h, w, 2).

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(-4.0, 12, 4), np.arange(-4.0, 12, 4))
    >>> between_nodes(np.stack([x, y**3], 2), 4, (1, 2), (2, 1)).tolist()
    [[[1.0, 8.0], [2.0, 8.0]]]
    """
    t = np.arange(step) / step
    weights = np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        1,
    )
    out = np.empty((size[1], size[0], 2))
    _between(nodes, weights, start[0], start[1], out)
    return out


@njit(cache=True, nogil=True)
def _between(nodes: Floats, weights: Floats, start_x: int, start_y: int, out: Floats) -> None:
    step = len(weights)
    height, width = out.shape[:2]
    line = np.empty(nodes.shape[1:])
    for row in range(height):
        k, phase = divmod(row + start_y, step)
        w = weights[phase]
        for c in range(nodes.shape[1]):
            for axis in range(2):
                line[c, axis] = (
                    w[0] * nodes[k, c, axis]
                    + w[1] * nodes[k + 1, c, axis]
                    + w[2] * nodes[k + 2, c, axis]
                    + w[3] * nodes[k + 3, c, axis]
                )
        k, phase = 0, start_x
        for column in range(width):
            a, b, c, d = weights[phase]
            for axis in range(2):
                out[row, column, axis] = (
                    a * line[k, axis]
                    + b * line[k + 1, axis]
                    + c * line[k + 2, axis]
                    + d * line[k + 3, axis]
                )
            phase += 1
            if phase == step:
                k, phase = k + 1, 0


def pull(
    plane: Pixels, at: Floats, corner: tuple[int, int], extent: tuple[float, float], fill: int
) -> Pixels:
    """Interpolate a plane at any places.

    By the cubic kernel of Keys (1981), which is exact on slopes. That of OpenCV bends them by up
    to 1/20 pixel, and rounds places to 1/32 pixel.

    Parameters
    ----------
    plane
        (H, W) of a larger image; its own edge is repeated beyond it.
    at
        (h, w, 2) x, y in the large image, as indices: 0 is the centre of its first pixel.
    corner
        (x, y) index of the plane's first pixel.
    extent
        (w, h) of the large image in pixels; places outside give `fill`.
    fill
        See `extent`.

    Returns
    -------
    array
        (h, w) of the plane's dtype, rounded and clipped to it.

    Examples
    --------
    >>> plane = np.array([[0, 10, 20, 30]], np.uint8)
    >>> pull(plane, np.array([[[8.5, 0.0], [9.26, 0.0], [9.0, 1.0]]]), (7, 0), (20, 1), 99).tolist()
    [[15, 23, 99]]
    """
    out = np.empty(at.shape[:2], plane.dtype)
    limits = (-np.inf, np.inf)
    if np.issubdtype(plane.dtype, np.integer):
        limits = (float(np.iinfo(plane.dtype).min), float(np.iinfo(plane.dtype).max))
    # one memory layout, so that numba compiles once for each dtype
    plane = np.ascontiguousarray(plane)
    _pull(plane, at, corner, extent, fill, limits, out)
    return out


@njit(cache=True, nogil=True)
def _keys(t: float) -> tuple[float, float, float, float]:
    return (
        ((1.0 - 0.5 * t) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((2.0 - 1.5 * t) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


@njit(cache=True, nogil=True)
def _pull(
    plane: Pixels,
    at: Floats,
    corner: tuple[int, int],
    extent: tuple[float, float],
    fill: int,
    limits: tuple[float, float],
    out: Pixels,
) -> None:
    whole = limits[1] < np.inf
    height, width = plane.shape
    for row in range(at.shape[0]):
        for column in range(at.shape[1]):
            x, y = at[row, column, 0], at[row, column, 1]
            # put so that a place that is no number is outside, too
            if not (-0.5 <= x < extent[0] - 0.5 and -0.5 <= y < extent[1] - 0.5):
                out[row, column] = fill
                continue
            left, top = np.floor(x), np.floor(y)
            across, down = _keys(x - left), _keys(y - top)
            first_x, first_y = int(left) - corner[0] - 1, int(top) - corner[1] - 1
            value = 0.0
            for i in range(4):
                line = plane[min(max(first_y + i, 0), height - 1)]
                total = 0.0
                for j in range(4):
                    total += across[j] * line[min(max(first_x + j, 0), width - 1)]
                value += down[i] * total
            out[row, column] = min(max(np.rint(value), limits[0]), limits[1]) if whole else value
