"""One image of SegPath and its mask, read and checked."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.annotated import SegPathImage
from regdata.chain.mask_slide import Mask
from regdata.errors import RegdataError
from regdata.slides import RGB, ArrayPixels, Slide


def read_pair(image: SegPathImage, mpp: float) -> tuple[Slide, Mask]:
    """An image and its mask as slides; transparency is left out, as it says nothing of either.

    Raises
    ------
    RegdataError
        One cannot be read, the two differ in size, or the mask is none.
    """
    pixels = cv2.imread(str(image.he), cv2.IMREAD_COLOR)
    planes = cv2.imread(str(image.mask), cv2.IMREAD_UNCHANGED)
    if pixels is None or planes is None:
        path = image.he if pixels is None else image.mask
        raise RegdataError(f"{path} cannot be read as an image; copy or extract it again")
    mask = _stained(np.asarray(planes), image.mask)
    height, width = mask.shape
    if pixels.shape[:2] != mask.shape:
        raise RegdataError(
            f"{image.he} is {pixels.shape[1]} x {pixels.shape[0]} px, its mask {width} x {height}; "
            "expected images of one size"
        )
    rgb = np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1), np.uint8)
    size = ((width, height),)
    stained = ArrayPixels((mask[None].astype(np.uint8),))
    he = Slide(image.he, size, mpp, RGB, rgb.dtype, ArrayPixels((rgb,)))
    return he, Mask(Slide(image.mask, size, mpp, ("mask",), np.dtype(np.uint8), stained), 1)


def _stained(planes: NDArray[Any], path: Path) -> NDArray[np.bool_]:
    """(H, W) what is above 0, of an image that holds 0 and at most one other value."""
    colours = planes if planes.ndim == 2 else planes[..., :3].max(axis=2)
    values = np.unique(colours)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        first = ", ".join(map(str, values[:3].tolist())) + (", ..." if len(values) > 3 else "")
        raise RegdataError(
            f"{path} is no mask: it has {len(values)} values ({first}); expected 0 and one other"
        )
    return np.asarray(colours > 0)
