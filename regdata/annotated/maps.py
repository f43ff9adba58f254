"""Outlines of nuclei: maps read from files, checked and counted, and polygons drawn as maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from regdata.annotated.read_files import read_dict, read_mat, read_npz
from regdata.errors import RegdataError

Maps = tuple[NDArray[np.int32], NDArray[np.uint8] | None]
"""Nuclei 1..N, (H, W), 0 = background; and perhaps types, (H, W), 0 = none."""

Ring = NDArray[np.float64]
"""Vertices (N, 2) of a polygon, pixels, corner origin; closed or open."""

_READERS = {".npz": read_npz, ".mat": read_mat, ".npy": read_dict}
_LARGEST_TYPE = np.iinfo(np.uint8).max
_LARGEST_ID = 2**53  # beyond it, doubles are not exact


def read_maps(
    path: Path, size: tuple[int, int], largest: int = _LARGEST_TYPE, typed: bool = False
) -> Maps:
    """Nuclei and types of a file with `inst_map` and perhaps `type_map`.

    Parameters
    ----------
    path
        `.npz`, `.mat`, or `.npy` with a dict.
    size
        (H, W) of the image as a viewer shows it, turned as its EXIF says.
    largest
        Highest type there may be.
    typed
        Whether a file without types is an error.

    Raises
    ------
    RegdataError
        The file is missing or damaged, or the maps do not fit the image.
    """
    names = ("inst_map", "type_map")
    needed = names if typed else names[:1]
    maps = _READERS[path.suffix.lower()](path, needed, names)
    check_map(maps["inst_map"], "inst_map", path, size)
    if "type_map" not in maps:
        return numbered(maps["inst_map"]), None
    check_map(maps["type_map"], "type_map", path, size, largest)
    return numbered(maps["inst_map"]), maps["type_map"].astype(np.uint8)


def check_map(
    array: NDArray[Any], name: str, path: Path, size: tuple[int, ...], largest: int = _LARGEST_ID
) -> None:
    """Refuse a map of another size than the image, or of other than whole numbers from 0 on."""
    if array.shape != tuple(size):
        turned = array.shape == tuple(size)[::-1]
        advice = "; labels are of the image as viewers show it, turned as its EXIF says"
        raise RegdataError(
            f"{name} in {path} is {array.shape}, its image {tuple(size)}{advice * turned}"
        )
    check_numbers(array, name, path, largest)


def check_numbers(array: NDArray[Any], name: str, path: Path, largest: int = _LARGEST_ID) -> None:
    """Refuse other than whole numbers from 0 to `largest`."""
    expected = "whole numbers from 0 on"
    if largest != _LARGEST_ID:
        expected = f"whole numbers 0 to {largest}"
    if array.dtype.kind not in "biuf":
        raise RegdataError(f"expected {expected} in {name} of {path}, found {array.dtype}")
    if not array.size:
        return
    low, high = array.min(), array.max()
    wrong = low if not low >= 0 else high if not high <= largest else None
    if wrong is None and array.dtype.kind == "f":
        broken = array[array != np.floor(array)]
        wrong = broken[0] if len(broken) else None
    if wrong is not None:
        raise RegdataError(f"expected {expected} in {name} of {path}, found {wrong}")


def numbered(ids: NDArray[Any]) -> NDArray[np.int32]:
    """Nuclei from 1 on without gaps, in the order of their ids."""
    top = int(ids.max(initial=0))
    if top <= 4 * ids.size:  # a table of all ids is far quicker than sorting the pixels
        used = np.zeros(top + 1, np.int32)
        used[ids.astype(np.int64)] = 1
        used[0] = 0
        return np.cumsum(used, dtype=np.int32)[ids.astype(np.int64)]
    present, place = np.unique(ids, return_inverse=True)
    first = 0 if len(present) and present[0] == 0 else 1
    return (place.reshape(ids.shape) + first).astype(np.int32)


def majority(instances: NDArray[np.int32], types: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) the class that most pixels of a nucleus have, background apart; 0 for none."""
    count, width = int(instances.max(initial=0)), int(types.max(initial=0)) + 1
    inside = instances > 0
    key = (instances[inside].astype(np.int64) - 1) * width + types[inside].astype(np.int64)
    votes = np.bincount(key, minlength=count * width).reshape(count, width)
    votes[:, 0] = 0  # so that 0 is elected only where no pixel has a class
    return np.asarray(votes.argmax(axis=1), np.int64)


def centroid(ring: Ring) -> tuple[float, tuple[float, float]]:
    """(area, (x, y)) of a closed or open ring (N, 2); the mean point where the area is 0.

    Examples
    --------
    >>> centroid(np.array([[0.0, 0], [4, 0], [4, 2], [0, 2]]))
    (8.0, (2.0, 1.0))
    """
    origin = ring.mean(axis=0)
    x, y = (ring - origin).T  # near the origin, or the products lose their last digits
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1e-9:
        return 0.0, (float(origin[0]), float(origin[1]))
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area) + origin[0]
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area) + origin[1]
    return abs(float(area)), (float(cx), float(cy))


def centroid_of(rings: Sequence[Ring]) -> tuple[float, float]:
    """(x, y) of a nucleus in several parts, weighted by their areas."""
    parts = [centroid(ring) for ring in rings]
    weights = np.array([area for area, _ in parts])
    points = np.array([xy for _, xy in parts])
    x, y = np.average(points, axis=0, weights=weights) if weights.any() else points.mean(axis=0)
    return float(x), float(y)


def draw(nuclei: Sequence[Sequence[Ring]], size: tuple[int, int]) -> NDArray[np.int32]:
    """Outlines of nuclei: k + 1 in the pixels whose centres nucleus k holds.

    Large ones are drawn first, so that a small nucleus in a large one does not vanish.

    Parameters
    ----------
    nuclei
        Rings (N, 2) in pixels, corner origin, one or more of each nucleus.
    size
        (H, W).
    """
    out = np.zeros(size, np.int32)
    area = [sum(centroid(ring)[0] for ring in rings) for rings in nuclei]
    for k in np.argsort(-np.array(area), kind="stable"):
        for ring in nuclei[k]:
            rows, cols = polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, size)  # type: ignore[no-untyped-call]
            out[rows, cols] = k + 1
    return out
