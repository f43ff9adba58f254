"""Red blood cells in H&E: they shine by themselves in fluorescence and carry no nucleus.

In optical density (see `regdata.slides.stain`) eosin takes green light, hematoxylin red as well,
and haemoglobin blue: a red cell is strong in green, weak in red and stronger in blue than the pink
of collagen, muscle and mucin. Where haemoglobin is pale the cells still lie loose, with gaps
between them that collagen has not, so texture counts as well. In slides full of eosin red cells are
of a vivid pink that nothing else comes near.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools, Plane
from regdata.labelling.measuring.morphology import shape_mask

REACH_UM = 14.0
"""How far from a pixel the picture may matter to it: the margin with which to read a region."""
_BLUR_UM = 0.35
_TEXTURE_UM = 8.0  # side of the window, a red cell and its neighbours
_TEXTURE, _MOST = 0.5, 0.35  # orange that texture makes up for; above it there is more than cells
_NO_NUCLEUS = 0.45  # red over green density; nuclei are above 0.6
_SEED, _WEAK = 0.70, 0.60  # orange and texture of a sure pixel, and of one beside it
_SEED_GREEN, _WEAK_GREEN = 0.4, 0.3  # optical density
_VIVID = ((0.85, 0.22), (0.70, 0.27))  # green at least, red over green at most: sure, beside it
_PINK = 0.25  # blue over green of eosin in tissue; less is magenta ink
_DARK = 0.45  # red density of a picture too dark to tell; 95 % of red cells lie below 0.4
_SEED_WIDTH_UM, _WIDTH_UM = 1.25, 2.0  # what is narrower is no cell
_AREA_UM2 = 9.0  # a red cell is 14 µm² from its side and 38 from above
_NEAR_UM, _GAP_UM = 3.0, 1.0


def red_blood_cells(
    rgb: NDArray[np.uint8], mpp: float, white: tuple[int, int, int] = (255, 255, 255)
) -> Bools:
    """Pixels of red blood cells.

    Parameters
    ----------
    rgb
        (H, W, 3) H&E.
    mpp
        µm per pixel of `rgb`; up to 1.
    white
        What glass looks like in this slide, where a scanner has not made it white.

    Returns
    -------
    array
        (H, W) bool. Pieces are at least 2 µm wide and 9 µm² large; a pixel depends on nothing
        further away than `REACH_UM`.

    Examples
    --------
    >>> picture = np.full((80, 80, 3), 255, np.uint8)
    >>> picture[10:38, 10:38] = 214, 100, 80  # a red cell
    >>> picture[40:70, 40:70] = 230, 150, 200  # collagen
    >>> red = red_blood_cells(picture, mpp=0.25)
    >>> bool(red[24, 24]), bool(red[55, 55])
    (True, False)
    """
    red, green, blue = _densities(rgb, mpp, white)
    orange = blue + _TEXTURE * green * np.minimum(_texture(green, mpp), _MOST)
    anucleate = (red < _NO_NUCLEUS * green) & (red < _DARK)
    sure = (green > _SEED_GREEN) & (orange > _SEED * green) & (red < 0.35 * green + 0.05)
    weak = (green > _WEAK_GREEN) & (orange > _WEAK * green)
    (most, little), (more, some) = _VIVID
    pink = blue > _PINK * green
    sure |= pink & (green > most) & (red < little * green)
    weak |= pink & (green > more) & (red < some * green)
    seeds = _opened(sure & anucleate, _SEED_WIDTH_UM, mpp)
    side = round(2 * _NEAR_UM / mpp) | 1
    near = cv2.dilate(seeds, np.ones((side, side), np.uint8)) > 0
    cells = (near & weak & anucleate).astype(np.uint8)
    whole = cv2.morphologyEx(cells, cv2.MORPH_CLOSE, _disc(_GAP_UM, mpp)) > 0
    wide = _opened(np.asarray(whole), _WIDTH_UM, mpp)
    return shape_mask(wide > 0, 0, math.ceil(_AREA_UM2 / mpp**2))


def _densities(
    rgb: NDArray[np.uint8], mpp: float, white: tuple[int, int, int]
) -> tuple[Plane, Plane, Plane]:
    """Optical densities of red, green and blue, each (H, W), of the lightly blurred picture."""
    levels = np.arange(256, dtype=np.float32)[:, None] + 1
    table = np.maximum(np.log((np.array(white, np.float32) + 1) / levels), 0)
    soft = cv2.GaussianBlur(rgb, (0, 0), _BLUR_UM / mpp)
    red, green, blue = (
        np.asarray(cv2.LUT(plane, column.astype(np.float32)), np.float32)
        for plane, column in zip(cv2.split(soft), table.T, strict=True)
    )
    return red, green, blue


def _texture(plane: Plane, mpp: float) -> Plane:
    """Standard deviation over the mean in a small window, (H, W)."""
    side = round(_TEXTURE_UM / mpp) | 1
    mean = cv2.boxFilter(plane, -1, (side, side))
    square = cv2.sqrBoxFilter(plane, -1, (side, side))
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray(spread / (mean + np.float32(0.05)), np.float32)


def _opened(mask: Bools, width_um: float, mpp: float) -> NDArray[np.uint8]:
    """A mask without what is narrower than `width_um`."""
    image = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(width_um, mpp))
    return np.asarray(image, np.uint8)


def _disc(width_um: float, mpp: float) -> NDArray[np.uint8]:
    side = max(1, round(width_um / mpp)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
