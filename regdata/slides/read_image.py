"""PNG and JPEG pictures as slides."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from regdata.errors import RegdataError
from regdata.slides.pixels import RGB, on_white, working_dtype
from regdata.slides.slide import Box, Slide

_GREY = {"L", "I", "I;16", "I;16B", "I;16L", "F"}
_ORIENTATION = 0x0112  # EXIF
_ON_THE_SIDE = (5, 6, 7, 8)  # its values for a quarter turn
# what PIL raises for a file that starts well and goes wrong
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError)


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """Reads boxes of pictures held in memory.

    Attributes
    ----------
    levels
        (C, H, W) of every level, finest first.
    """

    levels: tuple[NDArray[Any], ...]

    def __call__(self, level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        """Pixels of `box` at `level`, (len(channels), h, w)."""
        rows, columns = slice(box.y, box.y + box.h), slice(box.x, box.x + box.w)
        return self.levels[level][list(channels), rows, columns]


def image_slide(path: Path) -> Slide:
    """A PNG or JPEG picture, read whole: RGB, or one channel when it is grey.

    These formats give no trustworthy pixel size, so mpp is None.

    Raises
    ------
    RegdataError
        When the picture is truncated or damaged.
    """
    try:
        planes = _planes(path)
    except _DAMAGE as problem:
        raise RegdataError(
            f"{path} is a truncated or damaged picture ({problem}); copy or export it again"
        ) from problem
    names = RGB if len(planes) == 3 else ("channel 0",)
    height, width = planes.shape[1:]
    return Slide(path, ((width, height),), None, names, planes.dtype, ArrayPixels((planes,)))


def header_size(path: Path) -> tuple[int, int] | None:
    """(w, h) of a PNG or JPEG as `image_slide` reads it, from its header; None for other files."""
    try:
        with path.open("rb") as file:
            head = file.read(3)
            file.seek(0)
            if head not in (b"\x89PN", b"\xff\xd8\xff"):
                return None
            picture = _opened(file)
            width, height = picture.size
            turned = picture.getexif().get(_ORIENTATION, 1) in _ON_THE_SIDE
    except _DAMAGE as problem:
        raise RegdataError(f"{path} cannot be read as a picture ({problem})") from problem
    return (height, width) if turned else (width, height)


def _opened(file: BinaryIO) -> Image.Image:
    is_png = file.read(1) == b"\x89"
    file.seek(0)
    # the plugins themselves, as Image.open refuses pictures of slide size
    return PngImageFile(file) if is_png else JpegImageFile(file)


def _planes(path: Path) -> NDArray[Any]:
    """The picture, (C, H, W), C 1 or 3."""
    with path.open("rb") as file:
        opened = _opened(file)
        opened.load()
        picture = ImageOps.exif_transpose(opened)  # as every viewer shows it
        if picture.mode in _GREY:
            grey = np.asarray(picture)
            return grey.astype(working_dtype(path, grey.dtype))[None]
        if picture.mode == "1":
            return np.asarray(picture.convert("L"))[None]
        if picture.mode == "LA":
            return np.ascontiguousarray(on_white(np.asarray(picture)).transpose(2, 0, 1))
        transparent = picture.mode in ("RGBA", "PA") or "transparency" in picture.info
        colour = np.asarray(picture.convert("RGBA" if transparent else "RGB"))
        rgb = on_white(colour) if transparent else colour
        return np.ascontiguousarray(rgb.transpose(2, 0, 1))
