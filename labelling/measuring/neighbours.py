"""How much of a nucleus's light its brighter neighbours would give it: the spill-over test.

Light comes over from a neighbour through the microscope's blur, and because nobody knows better
than the registration error where the neighbour ends. Both are taken as one Gaussian. What the
brighter neighbours, each as bright as it was measured, would so lend to a nucleus is compared
with what the nucleus has. Solving for all nuclei at once (REDSEA: Bai et al., 2021) told spilled
from own light no better on sections of known truth, and over-compensated in clusters.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.labelling.measuring.footprint import Footprints

OPTICS_UM = 0.5
"""Blur of microscope and section, standard deviation."""
_FAINTEST = 0.03  # of the brightest nucleus around; fainter ones are negative anyway
_WIDEST = 16.0  # px; a wider blur says nothing of a nucleus
_REACH = 2.5  # of the blur; hardly any light comes from further away


def reach(sigma: NDArray[np.float64]) -> int:
    """The farthest that light spreads from a nucleus, in pixels.

    Parameters
    ----------
    sigma
        (N,) float64, blur of light and place, pixels; NaN where it is not known.
    """
    known = sigma[np.isfinite(sigma)]
    return math.ceil(_REACH * min(float(known.max(initial=0.0)), _WIDEST))


def lent_light(
    owner: NDArray[np.int32],
    nuclei: Footprints,
    mean: NDArray[np.float32],
    sigma: NDArray[np.float64],
    count: int,
) -> NDArray[np.float32]:
    """The share of each nucleus's mean intensity that its brighter neighbours explain.

    Parameters
    ----------
    owner
        (h, w) map of the region, see `footprint.owners`.
    nuclei
        Pixels of all N nuclei of the region.
    mean
        (N,) mean intensity of each.
    sigma
        (count,) blur of light and place, pixels.
    count
        Number of nuclei tested; they come first.

    Returns
    -------
    array
        (count,) float32, 0 to 1; 0 for nuclei without a brighter neighbour in reach.
    """
    out = np.zeros(count, np.float32)
    light = np.nan_to_num(mean).astype(np.float32)
    floor = _FAINTEST * float(light.max(initial=0.0))
    radius = np.sqrt(np.maximum(nuclei.area, 1) / math.pi)
    w = owner.shape[1]
    brightest = _brightest_around(owner, light)
    for i in np.flatnonzero((light[:count] > floor) & (nuclei.area[:count] > 0)).tolist():
        pixels = nuclei.pixels[nuclei.offsets[i] : nuclei.offsets[i + 1]]
        if brightest[pixels].max() <= light[i]:
            continue
        blur = float(np.clip(np.nan_to_num(sigma[i], nan=_WIDEST), 0.5, _WIDEST))
        y, x = pixels // w, pixels % w
        margin = math.ceil(_REACH * blur)
        top, left = max(0, int(y.min()) - margin), max(0, int(x.min()) - margin)
        here = owner[top : int(y.max()) + margin + 1, left : int(x.max()) + margin + 1]
        # a blurred nucleus keeps less than all of its light: what it was measured with is less
        # than what it gives (straight edge: the loss is 0.8 sigma / radius)
        kept = np.maximum(1 - 0.8 * blur / radius, 0.3)
        given = np.where(light > light[i], light / kept, 0).astype(np.float32)
        lent = cv2.GaussianBlur(
            np.concatenate([[np.float32(0)], given])[here],
            (0, 0),
            blur,
            borderType=cv2.BORDER_REPLICATE,
        )
        out[i] = min(1.0, float(lent[y - top, x - left].mean()) / float(light[i]))
    return out


def _brightest_around(owner: NDArray[np.int32], light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per pixel, flat, the mean of the brightest nucleus within about the widest reach."""
    brightness = np.concatenate([[np.float32(0)], light])[owner]
    small = brightness[::4, ::4]
    for dy, dx in ((0, 2), (2, 0), (2, 2)):
        part = brightness[dy::4, dx::4]
        small[: part.shape[0], : part.shape[1]] = np.maximum(
            small[: part.shape[0], : part.shape[1]], part
        )
    wide = cv2.dilate(small, np.ones((9, 9), np.uint8))
    h, w = owner.shape
    full = cv2.resize(wide, (w, h), interpolation=cv2.INTER_NEAREST)
    return np.asarray(full.reshape(-1), np.float32)
