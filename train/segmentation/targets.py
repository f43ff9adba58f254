"""Training targets made from an instance map."""

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def hv_map(instances: NDArray[np.int32]) -> NDArray[np.float32]:
    """Horizontal and vertical offset of each pixel from the centre of its nucleus.

    HoVer-Net's target (Graham et al., 2019): per nucleus the offset from the centre of mass,
    each half-axis scaled so that its farthest pixel is -1 or 1; background is 0.

    Parameters
    ----------
    instances
        (H, W) int32, 0 = background; ids may have gaps.

    Returns
    -------
    array
        (2, H, W) float32; channel 0 along x (columns), channel 1 along y (rows).
    """
    height, width = instances.shape
    count = instances.max() + 1
    size = np.zeros(count)
    centre = np.zeros((2, count))
    for y in range(height):
        for x in range(width):
            i = instances[y, x]
            size[i] += 1
            centre[0, i] += x
            centre[1, i] += y
    for i in range(count):
        if size[i] > 0:
            # the rounded centre of mass, as in HoVer-Net
            centre[0, i] = np.floor(centre[0, i] / size[i] + 0.5)
            centre[1, i] = np.floor(centre[1, i] / size[i] + 0.5)
    low = np.zeros((2, count))
    high = np.zeros((2, count))
    for y in range(height):
        for x in range(width):
            i = instances[y, x]
            low[0, i] = min(low[0, i], x - centre[0, i])
            low[1, i] = min(low[1, i], y - centre[1, i])
            high[0, i] = max(high[0, i], x - centre[0, i])
            high[1, i] = max(high[1, i], y - centre[1, i])
    out = np.zeros((2, height, width), np.float32)
    for y in range(height):
        for x in range(width):
            i = instances[y, x]
            if i == 0:
                continue
            for axis in range(2):
                offset = (x if axis == 0 else y) - centre[axis, i]
                if offset < 0:
                    out[axis, y, x] = -offset / low[axis, i]
                elif offset > 0:
                    out[axis, y, x] = offset / high[axis, i]
    return out
