"""Statistics of maps in Gaussian windows: mean, correlation, contrast brought to one another."""

import cv2
import numpy as np

from regdata.arrays import Plane
from regdata.slides import blurred

_NOISE = 1e-5  # of the variance of density: keeps flat places flat
_GAIN = 0.3, 5.0  # how much contrast is lowered or raised at most
_COARSE = 4  # px of a window's sigma that lose nothing by a grid of half as many


def window_mean(plane: Plane, sigma: float) -> Plane:
    """Gaussian mean around every pixel, (h, w); on a coarser grid where the window is wide.

    Parameters
    ----------
    plane
        (h, w).
    sigma
        In pixels.
    """
    step = 1
    while sigma / (2 * step) >= _COARSE / 2:
        step *= 2
    if step == 1:
        return blurred(plane, sigma)
    height, width = plane.shape
    # whole blocks, so that the coarse grid lies where it seems to lie
    pad = (0, -height % step, 0, -width % step)
    whole = cv2.copyMakeBorder(plane, *pad, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // step, whole.shape[0] // step)
    small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    small = blurred(np.asarray(small, np.float32), sigma / step)
    fine = cv2.resize(small, whole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[:height, :width], np.float32)


def equalised(moving: Plane, fixed: Plane, sigma: float) -> Plane:
    """The moving map (h, w) given the local mean and contrast of the fixed one, 0 to 1."""
    mean_f, mean_m = window_mean(fixed, sigma), window_mean(moving, sigma)
    spread_f = window_mean((fixed - mean_f) ** 2, sigma) + _NOISE
    spread_m = window_mean((moving - mean_m) ** 2, sigma) + _NOISE
    gain = np.clip(np.sqrt(spread_f / spread_m), *_GAIN)
    return np.asarray(np.clip(mean_f + gain * (moving - mean_m), 0, 1), np.float32)


def local_correlation(a: Plane, b: Plane, sigma: float) -> tuple[Plane, Plane, Plane]:
    """Local correlation of two maps (h, w) and the local variance of each, (h, w) all."""
    mean_a, mean_b = window_mean(a, sigma), window_mean(b, sigma)
    var_a = np.maximum(window_mean(a * a, sigma) - mean_a**2, 0)
    var_b = np.maximum(window_mean(b * b, sigma) - mean_b**2, 0)
    both = window_mean(a * b, sigma) - mean_a * mean_b
    return both / np.sqrt(var_a * var_b + 1e-8), var_a, var_b
