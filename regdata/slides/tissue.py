"""Where tissue lies on a slide, as boolean masks over the whole of it.

Masks and arrays are (H, W) or (H, W, 3); `mpp` is the µm per pixel of the array that is passed,
not of the slide it came from.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools
from regdata.slides.slide import Slide
from regdata.slides.smoothing import blurred
from regdata.slides.thresholds import otsu

_MASK_UM, _LONGEST = 4.0, 2048  # µm per mask pixel; most pixels a side
_GLASS, _STAINED = 0.04, 0.07  # colour (OD) glass stays below, and one that only stain reaches
_DARK = 16  # added to every pixel, so that a grey level more or less is no colour in black ink
_BLUR_UM = {"he": 4.0, "if": 20.0}  # H&E stains the matrix too, DAPI only nuclei: bridge them
_CLOSE_UM, _PIECE_UM = 10.0, 50.0  # gaps bridged; side of the smallest piece or hole kept
_SPARSE = 0.01  # share above which small pieces alone are tissue: fat, thin walls and vessels
_TWO_HUMPS = 0.75  # share of variance between the classes; a flat histogram has exactly this


def he_tissue(he: Slide) -> Bools:
    """Tissue of an H&E slide, (h, w) over the whole slide; see `stained_tissue`."""
    downsample, mpp = _coarse(he, "he_mpp")
    rgb = he.overview(downsample).transpose(1, 2, 0)
    return stained_tissue(np.ascontiguousarray(rgb), mpp)


def if_tissue(if_: Slide, dapi: int) -> Bools:
    """Tissue of an IF slide, (h, w) over the whole slide; see `nuclear_tissue`.

    Parameters
    ----------
    if_
        The slide.
    dapi
        Index of its nuclear channel.
    """
    downsample, mpp = _coarse(if_, "if_mpp")
    return nuclear_tissue(if_.overview(downsample, (dapi,))[0], mpp)


def stained_tissue(rgb: NDArray[np.uint8], mpp: float) -> Bools:
    """Tissue of an H&E overview: Otsu on how coloured a pixel is, in optical density.

    Colour (largest minus smallest optical density of R, G, B) is the same whatever the
    brightness of the glass, and blind to dust and black ink. The threshold is kept where no
    glass is above and no stained tissue below it, so that a field without glass is all tissue
    and an empty one has none.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    mpp
        µm per pixel of `rgb`.

    Returns
    -------
    array
        (H, W) bool.

    Examples
    --------
    >>> pink = np.full((40, 40, 3), 255, np.uint8)
    >>> pink[:, :20] = 230, 160, 200
    >>> mask = stained_tissue(pink, mpp=8.0)
    >>> bool(mask[20, 5]), bool(mask[20, 35])
    (True, False)
    """
    # blurred before the difference is taken, or noise would be a colour
    smooth = np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(1.0, _BLUR_UM["he"] / mpp)))
    brightest = smooth.max(axis=2) + np.float32(_DARK)
    colour = np.log(brightest / (smooth.min(axis=2) + np.float32(_DARK)))
    threshold, _ = _split(colour)
    return _cleaned(colour > min(max(threshold, _GLASS), _STAINED), mpp)


def nuclear_tissue(dapi: NDArray[Any], mpp: float) -> Bools:
    """Tissue of an immunofluorescence overview: Otsu on the log of the smoothed DAPI.

    When the histogram has one hump only there is no glass in view and all of it is tissue; a
    constant channel has none.

    Parameters
    ----------
    dapi
        (H, W), any real type, finite.
    mpp
        µm per pixel of `dapi`.

    Returns
    -------
    array
        (H, W) bool.
    """
    if dapi.min() == dapi.max():
        return np.zeros(dapi.shape, np.bool_)
    smooth = blurred(dapi.astype(np.float32), _BLUR_UM["if"] / mpp)
    low, high = np.percentile(smooth, [1, 99])
    # two decades below the brightest: glass and tissue differ by factors, not by amounts
    level = np.log1p(100 * np.clip((smooth - low) / max(high - low, 1e-9), 0, 1))
    threshold, separation = _split(level)
    if separation < _TWO_HUMPS:
        return np.ones(dapi.shape, np.bool_)
    return _cleaned(level > threshold, mpp)


def _split(values: NDArray[np.float32]) -> tuple[float, float]:
    """Otsu's threshold of the values, and how well it separates them."""
    counts, edges = np.histogram(values, bins=256)
    last, separation = otsu(counts)
    return float(edges[last + 1]), separation


def _coarse(slide: Slide, argument: str) -> tuple[float, float]:
    """Downsampling of a mask's pixels, and their µm."""
    mpp = slide.known_mpp(argument)
    downsample = max(1.0, _MASK_UM / mpp, max(slide.size) / _LONGEST)
    return downsample, downsample * mpp


def _cleaned(mask: Bools, mpp: float) -> Bools:
    """Bridge small gaps, drop small pieces unless all are small, and fill small holes."""
    image = mask.astype(np.uint8)
    radius = round(_CLOSE_UM / mpp)
    if radius > 0:
        side = 2 * radius + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        image = np.asarray(cv2.morphologyEx(image, cv2.MORPH_CLOSE, disc), np.uint8)
    smallest = (_PIECE_UM / mpp) ** 2
    pieces = _without_small(image > 0, smallest)
    if not pieces.any() and image.mean() > _SPARSE:
        pieces = image > 0
    return ~_without_small(~pieces, smallest)


def _without_small(mask: Bools, smallest: float) -> Bools:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    kept: Bools = keep[labels]
    return kept
