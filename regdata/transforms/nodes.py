"""Points between the nodes of a grid, at which alone a transform is evaluated.

In float64 throughout, and all fractions counted from absolute positions, so that a value comes
out the same to the last bit in whatever region it is computed.
"""

import numpy as np
from numba import njit

from regdata.arrays import Floats


def between_nodes(
    nodes: Floats, step: int, start: tuple[int, int], size: tuple[int, int]
) -> Floats:
    """Points at every pixel, (h, w, 2), interpolated from points at every `step`-th.

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
