"""Camera pixels that lie: too bright on their own, or clipped at full scale."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.slides import Slide

MARGIN = 6
"""Pixels around a region that decide what `repair_hot` does in it."""
_SPREADS = 8.0  # robust standard deviations above the neighbours
_RELATIVE = 0.05  # of the neighbours: least spread where the picture is too smooth to tell
_SHARED = 0.2  # of a point's light that reaches its neighbours through a lens at 0.65 µm: 0.25
_BITS = (8, 10, 12, 14, 16)
_BLOCK = 1024  # pixels a side
_MOST_BLOCKS = 24
_PILE = 20  # pixels at full scale that are a pile
_STEEP = 5.0  # pixels at full scale over pixels at the levels just below


def repair_hot(plane: Plane, step: float = 1.0) -> Plane:
    """A picture whose hot pixels have the median of their surroundings.

    Hot is what lies more than eight robust standard deviations (of the surrounding 5x5 pixels)
    above the median of 3x3, alone or with one neighbour, and five times as far as any other
    neighbour. Light that came through a lens is never so narrow: a nucleus is 9 pixels wide at
    0.65 µm, and even a point spreads.

    Parameters
    ----------
    plane
        (H, W) float32.
    step
        Smallest difference between two intensities: 1 in integers.

    Returns
    -------
    array
        (H, W) float32. A pixel depends on nothing further away than `MARGIN`.

    Examples
    --------
    >>> plane = np.full((9, 9), 100, np.float32)
    >>> plane[4, 4] = 4000
    >>> float(repair_hot(plane).max())
    100.0
    """
    median = np.asarray(cv2.medianBlur(plane, 3), np.float32)
    over = plane - median
    spread = 1.4826 * cv2.medianBlur(np.abs(over), 5)
    least = np.maximum(_RELATIVE * np.abs(median), step)
    hot = over > _SPREADS * np.maximum(spread, least)
    if not hot.any():
        return plane
    y, x = np.nonzero(_alone(hot))
    around = np.pad(plane, 1, mode="edge")
    offsets = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    others = np.sort(np.stack([around[y + i, x + j] for i, j in offsets]), axis=0)[-2]
    lonely = others - median[y, x] < _SHARED * over[y, x]
    out = plane.copy()
    out[y[lonely], x[lonely]] = median[y[lonely], x[lonely]]
    return out


def _alone(hot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hot pixels with at most one hot neighbour, which has no other."""
    count = cv2.boxFilter(
        hot.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    crowded = hot & (count > 2.5)
    beside = cv2.dilate(crowded.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(hot & ~beside)


def saturation_level(slide: Slide, channel: int) -> float | None:
    """Full scale of the camera, if pixels pile up there.

    The brightest blocks of the slide are looked at. Its highest value counts when it is the full
    scale of 8 bits, or of 10, 12, 14 or 16 in 16-bit pixels, and far more pixels have it than
    the values just below. Hot pixels do not.

    Returns
    -------
    float or None
        None for an exposure that clips nothing, and for pixels that are no integers.
    """
    if slide.dtype not in (np.uint8, np.uint16, np.int16):
        return None
    counts = np.zeros(2**16, np.int64)
    for block in _brightest(slide, channel):
        repaired = repair_hot(block.astype(np.float32))
        counts += np.bincount(np.maximum(repaired, 0).astype(np.int64).ravel(), minlength=2**16)
    filled = np.flatnonzero(counts)
    highest = int(filled[-1]) if filled.size else 0
    full = {2**bits - 1 for bits in _BITS} | {int(np.iinfo(slide.dtype).max)}
    if highest not in full or (highest == 255 and slide.dtype != np.uint8):
        return None
    below = counts[highest - max(4, highest // 64) : highest].mean()
    pile = counts[highest] >= max(_PILE, _STEEP * below)
    return float(highest) if pile else None


def _brightest(slide: Slide, channel: int) -> Iterator[NDArray[np.generic]]:
    """The blocks of level 0 that hold the brightest places of an overview, (h, w)."""
    width, height = slide.size
    downsample = max(1.0, max(slide.size) / 2048)
    overview = slide.overview(downsample, (channel,))[0]
    rows, columns = np.indices(overview.shape)
    across = width // _BLOCK + 1
    block = (rows * downsample // _BLOCK * across + columns * downsample // _BLOCK).astype(np.int64)
    peak = np.zeros(int(block.max()) + 1)
    np.maximum.at(peak, block.ravel(), overview.ravel().astype(np.float64))
    for one in np.argsort(-peak, kind="stable")[:_MOST_BLOCKS]:
        x, y = int(one) % across * _BLOCK, int(one) // across * _BLOCK
        if x < width and y < height:
            size = (min(_BLOCK, width - x), min(_BLOCK, height - y))
            yield slide.read((x, y), size, 1.0, (channel,))[0]
