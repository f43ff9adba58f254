"""One slide type for every stain and format: where pixels are, how big, and reading them.

Conventions
-----------
Points are (x, y) in level-0 pixels, (0, 0) the top-left corner of the top-left pixel. Sizes are
(w, h), arrays (C, H, W), or (H, W, 3) from `read_rgb`. A region is named by its top-left point
and its size in output pixels; what lies outside the slide is `fill` (white in RGB, else 0).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.slides.resampling import Pixels, lanczos, resample, whole_block

_STRIP = 4096  # level pixels a side read at once for an overview
_REACH = 8  # blocks beyond a region that blur (4), interpolation (2) and rounding (1) may use


class PixelReader(Protocol):
    """Reads a box that lies inside one level; the only thing a file format has to provide."""

    def __call__(self, level: int, box: "Box", channels: tuple[int, ...]) -> Pixels:
        """Pixels of `box` at `level`, (len(channels), h, w)."""
        ...


@dataclass(frozen=True)
class Box:
    """An axis-aligned box of whole pixels: x, y of the top-left pixel, width, height."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Slide:
    """An image of a section, read lazily.

    Attributes
    ----------
    path
        The file or folder it came from.
    sizes
        (w, h) of every pyramid level, finest first.
    mpp
        Micrometres per level-0 pixel; None when the file does not say.
    channels
        Channel names; ("red", "green", "blue") for RGB.
    dtype
        Type of the pixels.
    pixels
        Reads a box of one level.
    """

    path: Path
    sizes: tuple[tuple[int, int], ...]
    mpp: float | None
    channels: tuple[str, ...]
    dtype: np.dtype[Any]
    pixels: PixelReader

    @property
    def size(self) -> tuple[int, int]:
        """(w, h) of level 0."""
        return self.sizes[0]

    @property
    def is_rgb(self) -> bool:
        """Whether the three channels are the red, green and blue of one bright-field picture."""
        return self.channels == ("red", "green", "blue")

    @property
    def fill(self) -> int:
        """The pixel value outside the slide: white in RGB (glass), black in fluorescence."""
        return 255 if self.is_rgb else 0

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        return tuple(_downsample(self.size, size) for size in self.sizes)

    def known_mpp(self, argument: str = "mpp") -> float:
        """The slide's µm per pixel, or an error that names the argument to pass instead."""
        if self.mpp is None:
            raise RegdataError(
                f"{self.path} does not say its pixel size; pass `{argument}=` (µm per pixel)"
            )
        return self.mpp

    def with_mpp(self, mpp: float | None) -> "Slide":
        """The same slide with another pixel size; None keeps what the file says."""
        return self if mpp is None else replace(self, mpp=mpp)

    def channel(self, index: int) -> "Slide":
        """One of its channels as a slide of its own."""

        def pixels(level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
            return self.pixels(level, box, (index,))

        return replace(self, channels=(self.channels[index],), pixels=pixels)

    def read(
        self,
        xy: tuple[float, float],
        size: tuple[int, int],
        downsample: float = 1.0,
        channels: tuple[int, ...] | None = None,
    ) -> Pixels:
        """Pixels of a region at any resolution, (C, h, w).

        Parameters
        ----------
        xy
            Top-left corner, level-0 pixels; may be fractional or outside the slide.
        size
            (w, h) of the result in output pixels.
        downsample
            Level-0 pixels per output pixel; wanted mpp / slide mpp.
        channels
            Indices of the channels to read; all by default.

        Returns
        -------
        array
            (C, h, w) of the slide's dtype. Averaged when coarser than the level read,
            interpolated when it does not fall on whole pixels: Lanczos in RGB, else cubic.
        """
        wanted = tuple(range(len(self.channels))) if channels is None else channels
        level = self.best_level(downsample)
        scale = downsample / self.downsamples[level]  # level pixels per output pixel
        left = xy[0] / self.downsamples[level]
        top = xy[1] / self.downsamples[level]
        if _is_whole(scale, left, top, size):
            box = Box(round(left), round(top), *size)
            return self._read_padded(level, box, wanted)
        # the source starts on the slide's own grid of blocks, so that a point comes out the same
        # in whatever region it is read; the margin holds what blur and interpolation reach
        block = whole_block(scale)
        margin = _REACH * block
        x, y = (math.floor(corner / block) * block - margin for corner in (left, top))
        w = math.ceil((left + size[0] * scale - x) / block) * block + margin
        h = math.ceil((top + size[1] * scale - y) / block) * block + margin
        source = self._read_padded(level, Box(x, y, w, h), wanted)
        corner = (left - x, top - y)
        if self.is_rgb and self.dtype == np.uint8 and len(source) == 3:
            rgb = np.ascontiguousarray(source.transpose(1, 2, 0))
            return lanczos(rgb, corner, size, scale).transpose(2, 0, 1)
        return np.stack([resample(plane, corner, size, scale) for plane in source])

    def check_rgb(self, advice: str) -> None:
        """Refuse another slide than an 8-bit RGB picture; `advice` ends the message."""
        if not self.is_rgb or self.dtype != np.uint8:
            raise RegdataError(
                f"{self.path} is not an 8-bit RGB picture (channels: "
                f"{', '.join(self.channels)}; {self.dtype}){advice}"
            )

    def read_rgb(
        self, xy: tuple[float, float], size: tuple[int, int], downsample: float = 1.0
    ) -> NDArray[np.uint8]:
        """Like `read`, as (H, W, 3) uint8; only for bright-field slides."""
        self.check_rgb("; an H&E slide is needed here")
        return np.ascontiguousarray(self.read(xy, size, downsample).transpose(1, 2, 0))

    def overview(self, downsample: float, channels: tuple[int, ...] | None = None) -> Pixels:
        """The whole slide at a coarse resolution, read in strips of bounded size.

        Returns
        -------
        array
            (C, h, w); h, w are the slide's size / downsample, rounded up.
        """
        count = len(self.channels) if channels is None else len(channels)
        width, height = (math.ceil(side / downsample) for side in self.size)
        out = np.full((count, height, width), self.fill, self.dtype)
        level_scale = downsample / self.downsamples[self.best_level(downsample)]
        step = max(1, int(_STRIP / level_scale))
        for x, y, w, h in _blocks(width, height, step):
            corner = (x * downsample, y * downsample)
            out[:, y : y + h, x : x + w] = self.read(corner, (w, h), downsample, channels)
        return out

    def thumbnail(self, longest: int = 1024) -> Pixels:
        """The whole slide, (C, h, w), at most `longest` pixels a side."""
        return self.overview(max(1.0, max(self.size) / longest))

    def best_level(self, downsample: float) -> int:
        """The coarsest level that is still at least as fine as wanted."""
        fine = [k for k, d in enumerate(self.downsamples) if d <= downsample * 1.01]
        return max(fine, default=0)

    def _read_padded(self, level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        width, height = self.sizes[level]
        x0, y0 = max(box.x, 0), max(box.y, 0)
        x1, y1 = min(box.x + box.w, width), min(box.y + box.h, height)
        if (x0, y0, x1 - x0, y1 - y0) == (box.x, box.y, box.w, box.h):
            return self.pixels(level, box, channels)
        out = np.full((len(channels), box.h, box.w), self.fill, self.dtype)
        if x1 > x0 and y1 > y0:
            inside = self.pixels(level, Box(x0, y0, x1 - x0, y1 - y0), channels)
            rows = slice(y0 - box.y, y1 - box.y)
            columns = slice(x0 - box.x, x1 - box.x)
            out[:, rows, columns] = inside
        return out


def _downsample(full: tuple[int, int], size: tuple[int, int]) -> float:
    """Pixels of `full` per pixel of a level of `size`.

    Sides are rounded when a pyramid is made (4559 / 4 gives 1139): the quotient of sides would be
    off by a pixel at the far end, so the whole number that both sides fit is taken.
    """
    whole = round(full[0] / size[0])
    fits = all(abs(side / whole - small) < 1 for side, small in zip(full, size, strict=True))
    return float(whole) if fits else full[0] / size[0]


def _is_whole(scale: float, left: float, top: float, size: tuple[int, int]) -> bool:
    """Whether the output falls on the level's own pixels, to 1/100 pixel at its far end."""
    drift = abs(scale - 1) * max(size)
    off = max(abs(left - round(left)), abs(top - round(top)))
    return drift + off < 0.01


def _blocks(width: int, height: int, step: int) -> Iterator[tuple[int, int, int, int]]:
    for y in range(0, height, step):
        for x in range(0, width, step):
            yield x, y, min(step, width - x), min(step, height - y)
