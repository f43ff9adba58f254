"""Writing OME-Zarr folders (version 0.4, which every viewer opens) in a stream."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.paths import StrPath
from regdata.slides.pixels import RGB
from regdata.slides.read_zarr import is_zarr
from regdata.slides.write_tiff import Layout, half

if TYPE_CHECKING:
    import zarr

_CHUNK = 512
_BLOCK = 4 * _CHUNK  # pixels a side averaged at once
_RGB_COLOURS = ("FF0000", "00FF00", "0000FF")


def stream_ome_zarr(path: StrPath, layout: Layout, strips: Iterable[NDArray[Any]]) -> None:
    """Write an OME-Zarr from strips; memory is bounded by a few of them.

    Parameters
    ----------
    path
        The folder; nothing stands there before it is complete. An OME-Zarr is replaced.
    layout
        The picture; an RGB picture becomes three channels.
    strips
        As for `stream_ome_tiff`.

    Raises
    ------
    RegdataError
        Writing fails, or something else than an OME-Zarr stands there.
    """
    path = Path(path)
    import zarr

    names = RGB if layout.channels is None else layout.channels
    with _replacing_folder(path) as part:
        group = zarr.open_group(part, mode="w", zarr_format=2)
        levels = [
            group.create_array(
                str(number),
                shape=(len(names), height, width),
                chunks=(1, _CHUNK, _CHUNK),
                dtype=layout.dtype,
                fill_value=0,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for number, (width, height) in enumerate(layout.levels)
        ]
        highest = _write_first(levels[0], layout, strips)
        for fine, coarse in pairwise(levels):
            _write_means(fine, coarse)
        group.attrs.update(_metadata(path.name, layout, names, highest))


def _write_first(
    level: "zarr.Array[Any]", layout: Layout, strips: Iterable[NDArray[Any]]
) -> NDArray[np.float64]:
    """Write the finest level; the brightest value of each of its channels."""
    highest = np.zeros(level.shape[0])
    done = 0
    for strip in strips:
        first, y = divmod(done, layout.size[1])
        planes = strip[None] if strip.ndim == 2 else strip.transpose(2, 0, 1)
        for channel, plane in enumerate(planes, first):
            level[channel, y : y + len(strip)] = plane
            highest[channel] = max(highest[channel], float(plane.max()))
        done += len(strip)
    return highest


def _write_means(fine: "zarr.Array[Any]", coarse: "zarr.Array[Any]") -> None:
    channels, height, width = fine.shape
    for channel in range(channels):
        for y in range(0, height, _BLOCK):
            for x in range(0, width, _BLOCK):
                block = np.asarray(fine[channel, y : y + _BLOCK, x : x + _BLOCK])
                small = half(block[None], rgb=False)[0]
                top, left = y // 2, x // 2
                rows = slice(top, top + small.shape[0])
                coarse[channel, rows, left : left + small.shape[1]] = small


def _metadata(
    name: str, layout: Layout, names: tuple[str, ...], highest: NDArray[np.float64]
) -> dict[str, Any]:
    um = {} if layout.mpp is None else {"unit": "micrometer"}
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [_scale(layout.mpp, 2.0**number)]
            + [_shift(layout.mpp, 2.0**number)] * (number > 0),
        }
        for number in range(len(layout.levels))
    ]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space"} | um for axis in "yx"]
    colours = _RGB_COLOURS if layout.channels is None else ("FFFFFF",) * len(names)
    top = float(np.iinfo(layout.dtype).max) if layout.dtype.kind in "iu" else None
    channels = [
        {
            "label": label,
            "color": colour,
            "active": True,
            "window": {"min": 0.0, "max": top or peak, "start": 0.0, "end": peak or 1.0},
        }
        for label, colour, peak in zip(names, colours, highest.tolist(), strict=True)
    ]
    multiscale = {"version": "0.4", "name": name, "axes": axes, "datasets": datasets}
    return {"multiscales": [multiscale], "omero": {"channels": channels}}


def _scale(mpp: float | None, factor: float) -> dict[str, Any]:
    side = factor * (mpp or 1.0)
    return {"type": "scale", "scale": [1.0, side, side]}


def _shift(mpp: float | None, factor: float) -> dict[str, Any]:
    """Where the centre of the first pixel lies, that of the finest level being 0."""
    side = (factor - 1) / 2 * (mpp or 1.0)
    return {"type": "translation", "translation": [0.0, side, side]}


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Like `regdata.files.atomic.replacing`, for a folder."""
    if path.exists() and not is_zarr(path):
        raise RegdataError(f"{path} exists and is no OME-Zarr; choose another name")
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise RegdataError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
