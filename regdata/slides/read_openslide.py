"""Scanner formats (SVS, NDPI, MRXS, SCN, BIF, DICOM, CZI) as slides, through OpenSlide."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.slides.mpp import believable_mpp
from regdata.slides.pixels import RGB, on_white
from regdata.slides.slide import Box, Slide

if TYPE_CHECKING:
    from openslide import OpenSlide


def openslide_vendor(path: Path) -> str | None:
    """Which of OpenSlide's formats a file has, None for none of them.

    "generic-tiff" is any tiled TIFF; `regdata.slides.read_tiff` reads those better.
    """
    from openslide import OpenSlide

    return OpenSlide.detect_format(path)


def openslide_slide(path: Path) -> Slide:
    """A slide that OpenSlide knows, as 8-bit RGB; transparent parts are white.

    Level 0 is the whole slide, whatever part of it was scanned.

    Raises
    ------
    RegdataError
        When OpenSlide cannot open it.
    """
    from openslide import OpenSlide, OpenSlideError

    try:
        opened = OpenSlide(path)
        sizes = tuple((int(w), int(h)) for w, h in opened.level_dimensions)
        stated = [opened.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    except OpenSlideError as problem:
        raise RegdataError(f"{path} cannot be opened: {problem}; copy or export it again") from None
    x, y = (float(value) if value else None for value in stated)
    pixels = OpenSlidePixels(path, opened)
    return Slide(path, sizes, believable_mpp(x, y), RGB, np.dtype(np.uint8), pixels)


@dataclass(frozen=True, eq=False)
class OpenSlidePixels:
    """Reads boxes of one opened slide; OpenSlide itself is safe to use from several threads."""

    path: Path
    opened: "OpenSlide"

    def __call__(self, level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.uint8]:
        """Pixels of `box` at `level`, (len(channels), h, w)."""
        from openslide import OpenSlideError

        scale = self.opened.level_downsamples[level]
        corner = (round(box.x * scale), round(box.y * scale))
        try:
            region = self.opened.read_region(corner, level, (box.w, box.h))
        except OpenSlideError as problem:
            raise RegdataError(
                f"{self.path} is damaged: {problem}; copy or export it again"
            ) from problem
        return on_white(np.asarray(region)).transpose(2, 0, 1)[list(channels)]
