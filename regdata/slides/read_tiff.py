"""TIFF files as slides: OME-TIFF, pyramids, flat TIFF, ImageJ and qptiff; RGB or many channels."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from regdata.errors import RegdataError
from regdata.slides.pixels import channel_names, on_white, working_dtype
from regdata.slides.slide import Box, Slide
from regdata.slides.tiff_image import DAMAGE, SegmentCache, TiffImage
from regdata.slides.tiff_metadata import ome_facts, qptiff_names, resolution_mpp
from regdata.slides.tiff_structure import check_complete

# Damage is reported in one line by an error; tifffile would log a second one on the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_GREY, _RGB, _PALETTE, _YCBCR = 1, 2, 3, 6  # PhotometricInterpretation
_JPEG_LIKE = {6, 7, 34892, 33007, 34933, 34934, 50001}  # codecs that give RGB for YCbCr
_ALPHA = {1: True, 2: False}  # ExtraSamples: whether colours are premultiplied


@dataclass(frozen=True, eq=False)
class TiffPixels:
    """Reads boxes of the levels of a TIFF file.

    Attributes
    ----------
    levels
        Images of each level, finest first; their samples in order are the channels.
    dtype
        Type of what is read.
    fill
        What stands for tiles that are not stored.
    alpha
        None, or whether the colours were multiplied by the transparency in the fourth sample.
    cache
        Decoded tiles.
    """

    levels: tuple[tuple[TiffImage, ...], ...]
    dtype: np.dtype[Any]
    fill: int
    alpha: bool | None
    cache: SegmentCache

    def __call__(self, level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        """Pixels of `box` at `level`, (len(channels), h, w)."""
        images = self.levels[level]
        if self.alpha is not None:
            rgba = images[0].read(box, (0, 1, 2, 3), 255, self.cache).transpose(1, 2, 0)
            return on_white(rgba, self.alpha).transpose(2, 0, 1)[list(channels)]
        out = np.empty((len(channels), box.h, box.w), self.dtype)
        each = len(channels) and images[0].samples
        for k, image in enumerate(images):
            shown = [i for i, channel in enumerate(channels) if channel // each == k]
            if shown:
                samples = tuple(channels[i] % each for i in shown)
                out[shown] = image.read(box, samples, self.fill, self.cache)
        return out


def tiff_slide(path: Path) -> Slide:
    """A TIFF file, read lazily, with the channel names and pixel size its metadata give.

    Raises
    ------
    RegdataError
        When it is truncated or damaged, holds a z-stack or time series, or stores colours in a
        way that is not supported.
    """
    check_complete(path)
    with opened_tiff(path) as file:
        series = _main_series(file, path)
        page = series.keyframe
        _check_colours(page, path, file.is_imagej)
        levels = tuple(_images(level, path) for level in _levels(file, series))
        _check_ends(levels, path)
        stored = working_dtype(path, np.dtype(series.dtype))
        alpha = _alpha(page, stored)
        count = 3 if alpha is not None else sum(image.samples for image in levels[0])
        stated, mpp = _facts(file, series)
        rgb = page.photometric in (_RGB, _YCBCR)
        names = channel_names(stated, count, rgb, stored)
        fill = 255 if rgb and stored == np.uint8 else 0
    sizes = tuple(images[0].size for images in levels)
    pixels = TiffPixels(levels, stored, fill, alpha, SegmentCache())
    return Slide(path, sizes, mpp, names, stored, pixels)


@contextmanager
def opened_tiff(path: Path) -> Iterator[TiffFile]:
    """An opened TIFF file; whatever is wrong with it becomes one clear error."""
    try:
        with TiffFile(path) as file:
            yield file
    except (*DAMAGE, struct.error) as problem:
        raise RegdataError(
            f"{path} is a truncated or damaged TIFF ({problem}); copy or export it again"
        ) from problem


def _main_series(file: TiffFile, path: Path) -> TiffPageSeries:
    """The largest image; labels, macros and thumbnails are smaller."""
    flat = [s for s in file.series if "X" in s.get_axes(False) and "Y" in s.get_axes(False)]
    if not flat:
        raise RegdataError(f"{path} holds no two-dimensional image; export one channel set as TIFF")
    series = max(flat, key=lambda each: _width_height(each)[0] * _width_height(each)[1])
    if 0 in _width_height(series):
        raise RegdataError(f"{path} has no pixels (size {_width_height(series)}); export it again")
    _check_axes(series, path)
    return series


def _check_axes(series: TiffPageSeries, path: Path) -> None:
    axes = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    stacked = [f"{a} {axes[a]}" for a in "ZT" if axes.get(a, 1) > 1]
    if stacked or series.keyframe.shaped[1] > 1:
        raise RegdataError(
            f"{path} is a z-stack or time series ({', '.join(stacked) or 'tiles with depth'}); "
            "export one plane of it"
        )
    # pages of one size and no stated meaning are channels
    listed = [a for a, n in axes.items() if n > 1 and a not in "XYS"]
    if len(listed) > 1 or not set(listed) <= set("CIQ"):
        raise RegdataError(f"{path} has axes {series.axes}; expected channels, y, x")


def _check_colours(page: TiffPage, path: Path, imagej: bool) -> None:
    readable = {_GREY, _RGB} | ({_PALETTE} if imagej else set())  # ImageJ's is a display colour
    if page.compression in _JPEG_LIKE:
        readable.add(_YCBCR)
    if page.photometric not in readable:
        name = getattr(page.photometric, "name", str(page.photometric))
        raise RegdataError(f"{path} stores colours as {name}; convert it to RGB or greyscale")


def _levels(file: TiffFile, series: TiffPageSeries) -> list[TiffPageSeries]:
    """The pyramid of a series: its own levels, else other series that show it smaller."""
    levels = list(series.levels)
    if len(levels) == 1:
        smaller = [s for s in file.series if s is not series and _shrinks(series, s)]
        levels += sorted(smaller, key=_width_height, reverse=True)
    return [level for level in levels if len(level) == len(series)]


def _shrinks(full: TiffPageSeries, small: TiffPageSeries) -> bool:
    w, h = _width_height(small)
    width, height = _width_height(full)
    same_kind = (
        small.dtype == full.dtype
        and small.keyframe.axes == full.keyframe.axes
        and small.keyframe.samplesperpixel == full.keyframe.samplesperpixel
    )
    return same_kind and 0 < w <= width / 1.5 and abs(height * w / width - h) <= 1


def _images(level: TiffPageSeries, path: Path) -> tuple[TiffImage, ...]:
    pages = list(level)
    if any(page is None for page in pages):
        raise RegdataError(
            f"{path} is truncated or refers to files that are missing; copy all of them here"
        )
    images = tuple(_image(page) for page in pages if page is not None)
    missing = int(np.prod(level.get_shape(False))) // level.keyframe.size
    if len(images) == missing:
        return images
    # ImageJ stores large stacks as one page and the rest behind it
    step = level.keyframe.nbytes
    return tuple(
        replace(images[0], offsets=(images[0].offsets[0] + k * step,)) for k in range(missing)
    )


def _image(page: TiffPage | TiffFrame) -> TiffImage:
    separate, _, height, width, contiguous = page.shaped
    mapped = None
    if page.is_final and page.dataoffsets[0] and page.dtype is not None:
        mapped = np.dtype(page.parent.byteorder + page.dtype.char)
    decode, tables = page.decode, page.jpegtables

    def decoded(data: bytes, index: int) -> NDArray[Any]:
        array = decode(data, index, jpegtables=tables)[0]
        if array is None:
            raise ValueError(f"tile {index} is empty")
        return array

    return TiffImage(
        path=Path(page.parent.filehandle.path),
        size=(width, height),
        samples=separate * contiguous,
        planar=separate > 1,
        segment=(page.chunks[1], page.chunks[0]),
        offsets=tuple(page.dataoffsets),
        counts=tuple(page.databytecounts),
        decode=decoded,
        mapped=mapped,
    )


def _check_ends(levels: tuple[tuple[TiffImage, ...], ...], path: Path) -> None:
    for images in levels:
        for image in images:
            size = image.path.stat().st_size
            if image.end > size:
                raise RegdataError(
                    f"{path} is truncated: {image.path.name} has {size} bytes, "
                    f"its pixels need {image.end}; copy or export it again"
                )


def _alpha(page: TiffPage, dtype: np.dtype[Any]) -> bool | None:
    four = page.photometric == _RGB and page.samplesperpixel == 4 and dtype == np.uint8
    return _ALPHA.get(int(page.extrasamples[0])) if four and page.extrasamples else None


def _facts(file: TiffFile, series: TiffPageSeries) -> tuple[list[str], float | None]:
    """Channel names, perhaps none or too few, and pixel size."""
    if file.is_ome and file.ome_metadata:
        names, mpp = ome_facts(file.ome_metadata, _width_height(series))
        return names, mpp or resolution_mpp(series.keyframe)
    if series.kind == "qpi":
        pages = [page for page in series if isinstance(page, TiffPage)]
        return qptiff_names([page.description for page in pages]), resolution_mpp(series.keyframe)
    imagej = file.imagej_metadata or {}
    unit = str(imagej["unit"]) if "unit" in imagej else None
    return [str(label) for label in imagej.get("Labels", [])], resolution_mpp(series.keyframe, unit)


def _width_height(series: TiffPageSeries) -> tuple[int, int]:
    axes = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    return axes["X"], axes["Y"]
