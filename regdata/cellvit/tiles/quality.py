"""How far a tile of H&E can be trusted: is it in focus, folded, or under a pen mark.

Detail is measured on grids of fixed pitch in µm, so that the numbers mean the same at any pixel
size up to 0.5 µm; colour in optical density, above that of the tile's brightest part. The limits
come from real tiles, blurred, folded and drawn on by `benchmarks/quality.py`.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools

_FINE_UM, _SPOT_UM, _COARSE_UM = 0.5, 1.0, 4.0  # pitch of the grids
_TISSUE = 0.08  # mean optical density above glass; pale stroma has 0.1
_LEAST_TISSUE = 0.01  # share of a tile below which there is nothing to judge
_DIMMEST_GLASS = 0.6  # optical density of glass under a weak lamp; darker is no glass
_NOISE = 1.28  # power of white noise in the fine band over that in the band above it
_SMOOTH, _FLAT = 0.2, 0.02  # smallest medium detail: share of the wide, and of no tissue at all
_THICK, _DARK, _FOLD_OD = 1.4, 1.3, 0.2  # a fold against the tile: every channel, its darkest spots
_FOLD_UM2 = 1500.0  # smallest fold
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)

Float = NDArray[np.float32]


@dataclass(frozen=True)
class TileQuality:
    """Three numbers of one tile.

    Attributes
    ----------
    focus
        0 to 1: contrast of the stained tissue at 0.25 to 0.5 µm over that at 0.5 to 1 µm (RMS of
        differences of Gaussians). 0.6 to 0.8 in focus, 0.4 when blurred by 0.75 µm, 0.3 by
        1.25 µm; 1 where there is no tissue. The same whatever the amount of tissue.
    fold
        0 to 1: share of the tissue in areas of at least 1500 µm² that absorb 1.4 times as much as
        the tile's tissue usually does in red, green and blue, and whose darkest spots are darker.
    pen
        0 to 1: share of the tile in colours of ink, which hematoxylin and eosin never mix to.
    """

    focus: float
    fold: float
    pen: float


@dataclass(frozen=True)
class QualityLimits:
    """What still is a good tile.

    Attributes
    ----------
    focus
        A tile of less is blurred.
    fold, pen
        A tile of more is folded, or marked.
    """

    focus: float = 0.43
    fold: float = 0.04
    pen: float = 0.10

    def is_bad(self, quality: TileQuality) -> str | None:
        """Why a tile is bad: "pen", "blurred" or "fold", the first that holds; None for a good one.

        Examples
        --------
        >>> QualityLimits().is_bad(TileQuality(focus=0.3, fold=0.0, pen=0.0))
        'blurred'
        """
        if quality.pen > self.pen:
            return "pen"
        if quality.focus < self.focus:  # blur makes all spots alike, so that folds do not show
            return "blurred"
        return "fold" if quality.fold > self.fold else None


def tile_quality(rgb: NDArray[np.uint8], mpp: float) -> TileQuality:
    """Measure one tile.

    Parameters
    ----------
    rgb
        (H, W, 3); about 250 µm a side, so that a fold is the smaller part of it.
    mpp
        µm per pixel. Above 0.5 the focus is that of the pixels and no longer of the optics.

    Returns
    -------
    TileQuality
        Of finite numbers, whatever the image.
    """
    fine = _resized(rgb, mpp, max(_FINE_UM, mpp))
    coarse = _resized(fine, max(_FINE_UM, mpp), _COARSE_UM)
    density = _DENSITY[coarse]  # h x w x 3
    glass = min(float(np.percentile(density.min(axis=2), 1)), _DIMMEST_GLASS)
    density = np.maximum(density - np.float32(glass), 0)
    ink = _ink(density)
    tissue = (density.mean(axis=2) > _TISSUE) & ~ink
    if tissue.mean() < _LEAST_TISSUE:
        return TileQuality(1.0, 0.0, float(ink.mean()))
    folds = _folds(density, _darkest(fine, coarse, glass), tissue)
    fold = float((folds & tissue).sum() / tissue.sum())
    return TileQuality(_focus(fine, glass), fold, float(ink.mean()))


def _resized(rgb: NDArray[np.uint8], mpp: float, wanted: float) -> NDArray[np.uint8]:
    """The image on a grid of another pitch, averaged; at least one pixel."""
    height, width = (max(1, round(side * mpp / wanted)) for side in rgb.shape[:2])
    if (height, width) == rgb.shape[:2]:
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _focus(fine: NDArray[np.uint8], glass: float) -> float:
    """Contrast of fine over medium detail, RMS over the tissue.

    Blur takes more from the fine. Noise is white where tissue is not: what the finest band holds
    says how much of the fine one is noise. A medium band with hardly anything in it is blur too,
    where the wide band shows that there is tissue.
    """
    image = cv2.LUT(cv2.cvtColor(fine, cv2.COLOR_RGB2GRAY), _DENSITY)
    levels = [image, *(cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0))]
    levels.append(cv2.blur(levels[3], (27, 27)))  # of a Gaussian of 8 pixels, but in no time
    stained = levels[3] > glass + _TISSUE
    count = max(1, int(stained.sum()))
    # one band less the next: finest, fine, medium, wide
    power = [float(np.square((a - b)[stained]).sum()) / count for a, b in pairwise(levels)]
    least = _SMOOTH**2 * max(power[3], _FLAT**2)
    clean = max(0.0, power[1] - _NOISE * power[0])
    return min(1.0, float(np.sqrt(clean / max(power[2], least))))


def _ink(density: Float) -> Bools:
    """Pixels of ink: (h, w, 3) optical density above glass -> (h, w).

    Stained tissue absorbs green most, and less blue and red. Green ink absorbs red more than green,
    blue ink red as much as green and hardly any blue, red ink blue nearly as much as green and
    hardly any red, black ink all three. Blood is the nearest to ink: red, but paler.
    """
    red, green, blue = (density[..., i] for i in range(3))
    least, most = density.min(axis=2), density.max(axis=2)
    cyan = red - green > 0.1
    navy = (red > 0.8) & (red > 0.9 * green) & (blue < 0.4 * red)
    warm = (blue - red > 0.8) & (blue > 0.7 * green)
    black = (least > 0.5) & (least > 0.75 * most)
    ink: Bools = cyan | navy | warm | black
    return ink


def _darkest(fine: NDArray[np.uint8], coarse: NDArray[np.uint8], glass: float) -> Float:
    """(h, w) optical density of the darkest spot of 1 µm in each coarse pixel and around it."""
    height, width = coarse.shape[:2]
    step = round(_COARSE_UM / _SPOT_UM)
    shape = (width * step, height * step)
    spots = _DENSITY[cv2.resize(fine, shape, interpolation=cv2.INTER_AREA)].mean(axis=2) - glass
    darkest = np.maximum(spots, 0).reshape(height, step, width, step).max(axis=(1, 3))
    return np.asarray(cv2.blur(cv2.dilate(darkest, np.ones((5, 5))), (5, 5)), np.float32)


def _folds(density: Float, darkest: Float, tissue: Bools) -> Bools:
    """Large areas that absorb more of every colour than the tile's tissue does.

    Two layers of the same tissue double the optical density of all channels, that of nuclei
    included; another tissue has another colour, or nuclei as dark as elsewhere.
    """
    usual = np.maximum(np.median(density[tissue], axis=0), 0.04)
    mean = cv2.blur(density, (5, 5))  # over 20 µm: tissue, not single nuclei
    thick = cv2.erode((mean / usual).min(axis=2), np.ones((3, 3)))
    dark = cv2.erode(darkest / max(float(np.median(darkest[tissue])), 0.04), np.ones((3, 3)))
    folded = (thick > _THICK) & (dark > _DARK) & (mean.mean(axis=2) > _FOLD_OD)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(folded.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] * _COARSE_UM**2 >= _FOLD_UM2
    large[0] = False
    folds: Bools = large[labels]
    return folds
