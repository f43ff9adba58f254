"""OME-Zarr folders (versions 0.4 and 0.5) as slides."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.paths import StrPath
from regdata.slides.mpp import believable_mpp, um_per_unit
from regdata.slides.pixels import channel_names, working_dtype
from regdata.slides.slide import Box, Slide

if TYPE_CHECKING:
    import zarr

_MARKERS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
# what zarr and its codecs raise for missing keys and broken chunks
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError)


def is_zarr(path: StrPath) -> bool:
    """Whether a folder is a Zarr store."""
    path = Path(path)
    return any((path / marker).exists() for marker in _MARKERS)


def zarr_slide(path: Path) -> Slide:
    """The first multiscale image of an OME-Zarr folder.

    Raises
    ------
    RegdataError
        When the folder is no OME-Zarr, is damaged, or holds a z-stack or time series.
    """
    if not is_zarr(path):
        raise RegdataError(f"{path} is a folder and no OME-Zarr; give the slide file in it")
    try:
        return _slide(path)
    except _DAMAGE as problem:
        raise RegdataError(
            f"{path} is a damaged OME-Zarr ({problem}); copy or export it again"
        ) from problem


@dataclass(frozen=True, eq=False)
class ZarrPixels:
    """Reads boxes of the arrays of a multiscale image.

    Attributes
    ----------
    path
        The folder, for messages.
    arrays
        One a level, finest first.
    axes
        One letter a dimension, such as "tczyx"; all but c, y and x are of size 1.
    dtype
        Type of what is read.
    """

    path: Path
    arrays: "tuple[zarr.Array[Any], ...]"
    axes: str
    dtype: np.dtype[Any]

    def __call__(self, level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        """Pixels of `box` at `level`, (len(channels), h, w)."""
        out = np.empty((len(channels), box.h, box.w), self.dtype)
        place: dict[str, slice | int] = {
            "y": slice(box.y, box.y + box.h),
            "x": slice(box.x, box.x + box.w),
        }
        for plane, channel in zip(out, channels, strict=True):
            index = tuple((place | {"c": channel}).get(axis, 0) for axis in self.axes)
            try:
                plane[:] = np.asarray(self.arrays[level][index])
            except _DAMAGE as problem:
                raise RegdataError(
                    f"{self.path} is damaged ({problem}); copy or export it again"
                ) from problem
        return out


def _slide(path: Path) -> Slide:
    group, metadata = _image_group(path)
    multiscale = metadata["multiscales"][0]
    arrays = _arrays(path, group, [str(dataset["path"]) for dataset in multiscale["datasets"]])
    # before 0.4 the axes were plain letters
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in multiscale["axes"]]
    letters = "".join(str(axis["name"]).lower() for axis in axes)
    _check_axes(path, letters, arrays[0].shape)
    dtype = working_dtype(path, arrays[0].dtype)
    count = arrays[0].shape[letters.index("c")] if "c" in letters else 1
    omero = metadata.get("omero", {}).get("channels", [])
    # nothing in OME-Zarr marks a colour picture: three unnamed 8-bit channels are taken for one
    names = channel_names([str(c.get("label", "")) for c in omero], count, True, dtype)
    x, y = letters.index("x"), letters.index("y")
    sizes = tuple((array.shape[x], array.shape[y]) for array in arrays)
    pixels = ZarrPixels(path, arrays, letters, dtype)
    return Slide(path, sizes, _mpp(multiscale, axes, x, y), names, dtype, pixels)


def _image_group(path: Path) -> "tuple[zarr.Group, Mapping[str, Any]]":
    """The group that holds the image, and its OME metadata."""
    import zarr

    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        raise RegdataError(f"{path} is a bare Zarr array without OME metadata; give an OME-Zarr")
    metadata = _ome(node)
    if "bioformats2raw.layout" in metadata:  # a collection; the first image is called 0
        first = node["0"]
        node = first if isinstance(first, zarr.Group) else node
        metadata = _ome(node)
    if "multiscales" not in metadata:
        held = ", ".join(sorted(node.keys())[:8]) or "nothing"
        raise RegdataError(
            f"{path} is a Zarr folder without an OME image (it holds {held}); "
            "give the image's own folder"
        )
    return node, metadata


def _arrays(path: Path, group: "zarr.Group", names: list[str]) -> "tuple[zarr.Array[Any], ...]":
    import zarr

    nodes = [group[name] for name in names]
    arrays = tuple(node for node in nodes if isinstance(node, zarr.Array))
    if not arrays or len(arrays) < len(nodes):
        raise RegdataError(f"{path} is a damaged OME-Zarr: {', '.join(names)} are no arrays")
    return arrays


def _ome(group: "zarr.Group") -> Mapping[str, Any]:
    attributes: dict[str, Any] = dict(group.attrs)
    nested: Mapping[str, Any] = attributes.get("ome", attributes)  # 0.5 has one level more
    return nested


def _check_axes(path: Path, letters: str, shape: tuple[int, ...]) -> None:
    # OME-Zarr orders space z, y, x
    if len(letters) != len(shape) or not 0 <= letters.find("y") < letters.find("x"):
        raise RegdataError(f"{path} has axes {letters} and shape {shape}; expected c, y, x")
    stacked = {a: n for a, n in zip(letters, shape, strict=True) if a not in "cyx" and n > 1}
    if stacked:
        sizes = ", ".join(f"{axis} {size}" for axis, size in stacked.items())
        raise RegdataError(f"{path} is a z-stack or time series ({sizes}); export one plane of it")


def _mpp(
    multiscale: Mapping[str, Any], axes: list[Mapping[str, Any]], x: int, y: int
) -> float | None:
    """The pixel size of the finest level; the scales of image and level multiply."""
    steps = [
        *multiscale["datasets"][0].get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ]
    scales = [step["scale"] for step in steps if step.get("type") == "scale"]
    sides: list[float | None] = []
    for k in (x, y):
        unit = um_per_unit(str(axes[k].get("unit", "")))
        factors = [float(scale[k]) for scale in scales]
        sides.append(unit * float(np.prod(factors)) if unit and factors else None)
    return believable_mpp(sides[0], sides[1])
