"""Writing pyramidal OME-TIFF files that other viewers open."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffWriter

from regdata.atomic import replacing
from regdata.errors import RegdataError

_TILE = 256
_SMALLEST = 512  # a level this small is not halved again


def write_ome_tiff(
    path: Path,
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
    _check(path, image, channels, jpeg)
    levels = _levels(image, channels is None) if pyramid else [image]
    with replacing(path) as part, TiffWriter(part, bigtiff=image.nbytes > 2**31, ome=True) as tiff:
        _write_levels(tiff, levels, _metadata(mpp, channels), _options(mpp, channels, jpeg))


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
            f"{path}: expected an RGB picture (H, W, 3) uint8, came {image.shape} {image.dtype}; "
            "pass channel names with (C, H, W)"
        )
    if channels is not None and (image.ndim != 3 or len(channels) != len(image) or jpeg):
        raise RegdataError(
            f"{path}: {len(channels)} channel names do not fit an image of shape {image.shape} "
            "(C, H, W) without JPEG"
        )


def _levels(image: NDArray[Any], rgb: bool) -> list[NDArray[Any]]:
    levels = [image]
    while max(levels[-1].shape[:2] if rgb else levels[-1].shape[1:]) > _SMALLEST:
        levels.append(half(levels[-1], rgb))
    return levels


def _metadata(mpp: float | None, channels: Sequence[str] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YXS" if channels is None else "CYX"}
    if channels is not None:
        metadata["Channel"] = {"Name": list(channels)}
    if mpp is not None:
        metadata |= {f"PhysicalSize{axis}": mpp for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    return metadata


def _options(mpp: float | None, channels: Sequence[str] | None, jpeg: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tile": (_TILE, _TILE),
        "photometric": "rgb" if channels is None else "minisblack",
    }
    if jpeg:
        options |= {"compression": "jpeg", "compressionargs": {"level": 90}}
    else:
        options |= {"compression": "deflate", "predictor": True}
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    return options


def _write_levels(
    tiff: TiffWriter,
    levels: list[NDArray[Any]],
    metadata: dict[str, Any],
    options: dict[str, Any],
) -> None:
    rgb = options["photometric"] == "rgb"
    for number, level in enumerate(levels):
        told: dict[str, Any] = {"metadata": None, "subfiletype": 1}
        if number == 0:
            told = {"metadata": metadata, "subifds": len(levels) - 1}
        tiff.write(
            _tiles(level, rgb),
            shape=level.shape,
            dtype=level.dtype,
            **told,
            **_shrunk(options, 2**number),
        )


def _tiles(level: NDArray[Any], rgb: bool) -> Iterator[NDArray[Any]]:
    """Tiles in the order of the file; those over the edge repeat it.

    Left to itself the writer fills them with black, and JPEG would carry that into the picture.
    """
    for plane in [level] if rgb else level:
        height, width = plane.shape[:2]
        for y in range(0, height, _TILE):
            for x in range(0, width, _TILE):
                tile = plane[y : y + _TILE, x : x + _TILE]
                beyond = [(0, _TILE - tile.shape[0]), (0, _TILE - tile.shape[1])]
                yield np.pad(tile, [*beyond, (0, 0)][: tile.ndim], mode="edge")


def _shrunk(options: dict[str, Any], factor: int) -> dict[str, Any]:
    if "resolution" not in options:
        return options
    x, y = options["resolution"]
    return options | {"resolution": (x / factor, y / factor)}
