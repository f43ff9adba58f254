"""One step of Gauss-Newton: how each pixel would like to move, from its difference and slope.

Where optical flow gives every pixel a displacement of its own, this gives the spline the normal
equations of the images themselves: along an edge a pixel says nothing, across it much.
"""

import numpy as np

from regdata.arrays import Plane
from regdata.registration.bend.local import window_mean

_FLOOR = 0.02  # of density; the least difference that is taken to be noise
_TOLERATED = 2.0  # times the typical local difference, from where a pixel counts for less


def polish_terms(
    fixed: Plane, moving: Plane, current_um: Plane, mpp: float, window_px: float
) -> Plane:
    """Normal equations of the pixels of a tile, (5, h, w) for `Evidence.add`.

    The moving map is brought to the local mean and contrast of the fixed one; what is left is
    explained by a shift along the mean slope of both (Benhimane & Malis, IROS 2004), pixels that
    differ more than their surroundings count less (Geman & McClure).

    Parameters
    ----------
    fixed, moving
        (h, w) density, the moving one pulled through the present transform.
    current_um
        (h, w, 2), the present displacement, µm.
    mpp
        µm per pixel.
    window_px
        Sigma of the neighbourhood.

    Returns
    -------
    array
        (5, h, w) for `Evidence.add`; in squared slopes over the variance of differences.
    """
    mean_f, mean_m = window_mean(fixed, window_px), window_mean(moving, window_px)
    f, m = fixed - mean_f, moving - mean_m
    var_f, var_m, both = (window_mean(p, window_px) for p in (f * f, m * m, f * m))
    gain = np.maximum(both, 0) / (var_m + _FLOOR**2)
    alike = np.maximum(both, 0) / np.sqrt(var_f * var_m + 1e-8)
    m = gain * m
    rest = f - m
    noise = window_mean(rest * rest, window_px) + _FLOOR**2
    robust = 1 / (1 + rest * rest / (_TOLERATED**2 * noise)) ** 2
    weight = robust * alike / noise
    x, y = ((_slope(f, axis) + _slope(m, axis)) / (2 * mpp) for axis in (1, 0))
    u, v = current_um[..., 0], current_um[..., 1]
    xx, xy, yy = weight * x * x, weight * x * y, weight * y * y
    pull = weight * rest
    return np.stack([xx, xy, yy, xx * u + xy * v + pull * x, xy * u + yy * v + pull * y])


def _slope(plane: Plane, axis: int) -> Plane:
    """Derivative per pixel by central differences."""
    return np.asarray(np.gradient(plane, axis=axis), np.float32)
