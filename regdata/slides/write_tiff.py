"""Writing pyramidal OME-TIFF files that other viewers open, in a stream."""

import math
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffWriter

from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath

_TILE = 256
_SMALLEST = 512  # a level this small is not halved again
_CLASSIC = 2**31  # bytes of pixels up to which a file does without BigTIFF, whose limit is 2**32
_BUFFER = 2**25  # bytes the writer compresses at once; half a gigabyte by default
_CHUNK = 4096  # columns averaged at once, so that a wide slide costs no more
STRIP = 2 * _TILE
"""Rows of the strips a picture is streamed in."""


@dataclass(frozen=True)
class Layout:
    """What is known of a picture before its pixels.

    Attributes
    ----------
    size
        (w, h).
    dtype
        Any integer type or float32.
    mpp
        µm per pixel; None leaves it unsaid.
    channels
        Names; None for an RGB picture, which is uint8.
    """

    size: tuple[int, int]
    dtype: np.dtype[Any]
    mpp: float | None
    channels: tuple[str, ...] | None = None

    @property
    def levels(self) -> list[tuple[int, int]]:
        """(w, h) of every level of a pyramid, finest first."""
        sizes = [self.size]
        while max(sizes[-1]) > _SMALLEST:
            sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
        return sizes

    def shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """Shape of a level in the file: (C, H, W), or (H, W, 3) in RGB."""
        width, height = size
        return (height, width, 3) if self.channels is None else (len(self.channels), height, width)


def write_ome_tiff(
    path: StrPath,
    image: NDArray[Any],
    mpp: float | None,
    channels: Sequence[str] | None = None,
    pyramid: bool = True,
    jpeg: bool = False,
) -> None:
    """Write a tiled OME-TIFF; nothing stands under the final name before it is complete.

    Parameters
    ----------
    path
        Where to.
    image
        (C, H, W) of any integer type or float32, or an RGB picture, (H, W, 3) uint8, which has
        no `channels`.
    mpp
        µm per pixel; None leaves it unsaid.
    channels
        C names; None for an RGB picture.
    pyramid
        Whether to add levels, each the mean of 2x2 pixels of the one before.
    jpeg
        Compress with loss (quality 90, RGB only) rather than by deflate.

    Raises
    ------
    RegdataError
        When the shape of the image and the names do not fit each other, or writing fails.
    """
    path = Path(path)
    _check(path, image, channels, jpeg)
    rgb = channels is None
    planes = [image] if rgb else list(image)
    height, width = planes[0].shape[:2]
    layout = Layout((width, height), image.dtype, mpp, None if rgb else tuple(channels or ()))
    strips = (plane[y : y + STRIP] for plane in planes for y in range(0, height, STRIP))
    stream_ome_tiff(path, layout, strips, pyramid, jpeg)


def stream_ome_tiff(
    path: StrPath,
    layout: Layout,
    strips: Iterable[NDArray[Any]],
    pyramid: bool = True,
    jpeg: bool = False,
) -> None:
    """Write a tiled OME-TIFF from strips; memory is bounded by a few of them.

    The coarser levels wait compressed in a file without a name beside the result, which needs
    up to a third of the space of the first level.

    Parameters
    ----------
    path
        Where to; nothing stands there before the file is complete.
    layout
        The picture.
    strips
        Of `STRIP` rows, the last of a channel of what is left: (rows, W), all of the first
        channel from top to bottom, then of the second; (rows, W, 3) in RGB.
    pyramid, jpeg
        As for `write_ome_tiff`.

    Raises
    ------
    RegdataError
        Writing fails.
    """
    path = Path(path)
    sizes = layout.levels if pyramid else [layout.size]
    big = math.prod(layout.shape(layout.size)) * layout.dtype.itemsize > _CLASSIC
    options = _options(layout, jpeg)
    with replacing(path) as part, ExitStack() as stack:
        tiff = stack.enter_context(TiffWriter(part, bigtiff=big, ome=True))
        below: list[_Level] = []
        for _ in sizes[:0:-1]:
            spool = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
            below.insert(0, _Level(spool, layout, below[0] if below else None))
        first = _first_level(strips, layout, below[0] if below else None)
        levels = [first, *(level.tiles() for level in below)]
        for number, (size, tiles) in enumerate(zip(sizes, levels, strict=True)):
            tags: dict[str, Any] = {"metadata": None, "subfiletype": 1}
            if number == 0:
                tags = {"metadata": _metadata(layout), "subifds": len(below)}
            scaled = _shrunk(options, 2**number)
            tiff.write(tiles, shape=layout.shape(size), dtype=layout.dtype, **tags, **scaled)


def half(image: NDArray[Any], rgb: bool) -> NDArray[Any]:
    """The mean of every 2x2 pixels; an odd last row or column counts twice.

    Parameters
    ----------
    image
        (C, H, W), or (H, W, 3) when `rgb`.
    rgb
        Where the channels stand.

    Examples
    --------
    >>> half(np.array([[[1, 3], [5, 7]]], np.uint8), rgb=False).tolist()
    [[[4]]]
    """
    planes = image.transpose(2, 0, 1) if rgb else image
    height, width = planes.shape[1:]
    planes = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    wide = planes.astype(np.float32)
    mean = (wide[:, ::2, ::2] + wide[:, 1::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, 1::2]) / 4
    if image.dtype.kind in "iu":
        mean = np.rint(mean)
    small = mean.astype(image.dtype)
    return np.ascontiguousarray(small.transpose(1, 2, 0)) if rgb else small


def _check(path: Path, image: NDArray[Any], channels: Sequence[str] | None, jpeg: bool) -> None:
    rgb = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if channels is None and not rgb:
        raise RegdataError(
            f"{path}: expected an RGB picture (H, W, 3) uint8, got {image.shape} {image.dtype}; "
            "pass channel names with (C, H, W)"
        )
    if channels is not None and (image.ndim != 3 or len(channels) != len(image) or jpeg):
        raise RegdataError(
            f"{path}: {len(channels)} channel names do not fit an image of shape {image.shape} "
            "(C, H, W) without JPEG"
        )


def _metadata(layout: Layout) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YXS" if layout.channels is None else "CYX"}
    if layout.channels is not None:
        metadata["Channel"] = {"Name": list(layout.channels)}
    if layout.mpp is not None:
        metadata |= {f"PhysicalSize{axis}": layout.mpp for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    return metadata


def _options(layout: Layout, jpeg: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tile": (_TILE, _TILE),
        "buffersize": _BUFFER,
        "photometric": "rgb" if layout.channels is None else "minisblack",
    }
    if jpeg:
        options |= {"compression": "jpeg", "compressionargs": {"level": 90}}
    else:
        options |= {"compression": "zlib", "predictor": True}
    if (mpp := layout.mpp) is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    return options


class _Level:
    """A level gathered while the one above is written: it comes after that one in the file."""

    def __init__(self, spool: IO[bytes], layout: Layout, below: "_Level | None") -> None:
        self._spool, self._lengths = spool, list[int]()
        self._below = below
        self._dtype = layout.dtype
        self._shape = (_TILE, _TILE) if layout.channels is not None else (_TILE, _TILE, 3)
        self._rows: NDArray[Any] | None = None  # those that fill no row of tiles yet

    def add(self, rows: NDArray[Any]) -> None:
        """Take the next rows of the channel, at most as many as a tile has."""
        held = rows if self._rows is None else np.concatenate([self._rows, rows])
        if len(held) >= _TILE:
            self._store(held[:_TILE])
        self._rows = held[_TILE:].copy() if len(held) >= _TILE else held

    def end(self) -> None:
        """The channel is complete."""
        if self._rows is not None and len(self._rows):
            self._store(self._rows)
        self._rows = None
        if self._below:
            self._below.end()

    def tiles(self) -> Iterator[NDArray[Any]]:
        """All tiles in the order of the file."""
        self._spool.seek(0)
        for length in self._lengths:
            tile = np.frombuffer(zlib.decompress(self._spool.read(length)), self._dtype)
            yield tile.reshape(self._shape)

    def _store(self, rows: NDArray[Any]) -> None:
        for tile in _tiles(rows):
            packed = zlib.compress(tile.tobytes(), 1)
            self._spool.write(packed)
            self._lengths.append(len(packed))
        if self._below:
            self._below.add(_half_rows(rows))


def _first_level(
    strips: Iterable[NDArray[Any]], layout: Layout, below: _Level | None
) -> Iterator[NDArray[Any]]:
    """The tiles of the strips, each strip handed down to the next level."""
    done = 0
    for strip in strips:
        for y in range(0, len(strip), _TILE):
            rows = strip[y : y + _TILE]
            done += len(rows)
            # before the tiles go out: nobody asks for more than the last of them
            if below:
                below.add(_half_rows(rows))
                if done % layout.size[1] == 0:
                    below.end()
            yield from _tiles(rows)


def _half_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """`half` of rows of one channel, (h, W), or of RGB, (h, W, 3)."""
    parts = [rows[:, x : x + _CHUNK] for x in range(0, rows.shape[1], _CHUNK)]
    if rows.ndim == 3:
        return np.concatenate([half(part, True) for part in parts], 1)
    return np.concatenate([half(part[None], False)[0] for part in parts], 1)


def _tiles(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The tiles of a row of them; those over the edge repeat it.

    Left to itself the writer fills them with black, and JPEG would carry that into the picture.
    """
    for x in range(0, rows.shape[1], _TILE):
        tile = rows[:, x : x + _TILE]
        beyond = [(0, _TILE - tile.shape[0]), (0, _TILE - tile.shape[1])]
        yield np.pad(tile, [*beyond, (0, 0)][: tile.ndim], mode="edge")


def _shrunk(options: dict[str, Any], factor: int) -> dict[str, Any]:
    if "resolution" not in options:
        return options
    x, y = options["resolution"]
    return options | {"resolution": (x / factor, y / factor)}
