"""Resampling of pixels on a shifted, scaled grid."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regdata.slides.smoothing import blurred_to_pitch

Pixels = NDArray[Any]


def resample(
    plane: Pixels, corner: tuple[float, float], size: tuple[int, int], scale: float
) -> Pixels:
    """A plane resampled on a shifted, scaled grid, (h, w).

    Parameters
    ----------
    plane
        (H, W).
    corner
        Where the output's top-left corner lies in `plane`, in its pixels (corner rule).
    size
        (w, h) of the result.
    scale
        Pixels of `plane` per output pixel. Above 2 whole blocks are averaged first, then the
        rest is blurred to the output's pitch, so that nothing aliases.

    Returns
    -------
    array
        (h, w), the dtype of `plane`.
    """
    block = whole_block(scale)
    rest = scale / block
    image = blurred_to_pitch(_averaged(np.ascontiguousarray(plane), block), rest)
    # centre of output pixel i: corner + (i + 0.5) * scale; index = that / block - 0.5
    offset = [c / block + 0.5 * rest - 0.5 for c in corner]
    matrix = np.array([[rest, 0, offset[0]], [0, rest, offset[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def lanczos(
    rgb: NDArray[np.uint8], corner: tuple[float, float], size: tuple[int, int], scale: float
) -> NDArray[np.uint8]:
    """Like `resample`, for a bright-field picture: Lanczos, which keeps edges crisp.

    Its overshoot, a shade at an edge of H&E, would be signal beside bright spots in fluorescence.

    Parameters
    ----------
    rgb
        (H, W, 3).

    Returns
    -------
    array
        (h, w, 3).
    """
    block = whole_block(scale)
    left, top = (c / block for c in corner)
    width, height = (n * scale / block for n in size)
    box = (left, top, left + width, top + height)
    image = Image.fromarray(_averaged(rgb, block)).resize(size, Image.Resampling.LANCZOS, box=box)
    return np.asarray(image, np.uint8)


def _averaged(image: Pixels, block: int) -> Pixels:
    """Means of blocks of pixels, (H, W) or (H, W, 3); what fills no block is cut off."""
    if block == 1:
        return image
    h, w = (side // block * block for side in image.shape[:2])
    return cv2.resize(image[:h, :w], (w // block, h // block), interpolation=cv2.INTER_AREA)


def whole_block(scale: float) -> int:
    """Whole pixels to average before resampling; 1.99 counts as 2."""
    return max(1, int(scale * 1.01))
