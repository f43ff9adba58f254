"""Images with an instance map: a folder of `images/` and `labels/*.npz`."""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.annotated.sets import list_images
from regdata.cells import centroids
from regdata.errors import RegdataError

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError)


@dataclass(frozen=True)
class AnnotatedNuclei:
    """One image and the outlines of its nuclei.

    Attributes
    ----------
    name
        File name without its ending.
    rgb
        (H, W, 3) uint8.
    instances
        (H, W) int32, nuclei 1..N, 0 = background.
    kinds
        (N,) int64, number of the class of each nucleus as in `type_map`, 0 for none; None where
        the image has no classes.
    """

    name: str
    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    kinds: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of nuclei."""
        return int(self.instances.max(initial=0))


def load_nuclei(path: Path) -> AnnotatedNuclei:
    """Read `DATA/images/<name>.*` with `DATA/labels/<name>.npz`.

    The file of labels holds `inst_map` (H, W), 0 = background, and perhaps `type_map` (H, W); a
    nucleus has the class most of its pixels have.

    Raises
    ------
    RegdataError
        A file is missing or damaged, or the arrays do not fit the image.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise RegdataError(f"expected an image, but {path} cannot be read as one")
    labels = path.parents[1] / "labels" / f"{path.stem}.npz"
    if not labels.is_file():
        raise RegdataError(f"{path} has no labels; expected {labels} with inst_map")
    instances, kinds = read_labels(labels, pixels.shape[:2])
    rgb = np.ascontiguousarray(pixels[..., ::-1], np.uint8)
    return AnnotatedNuclei(path.stem, rgb, instances, kinds)


def read_labels(
    labels: Path, size: tuple[int, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int64] | None]:
    """Nuclei and their classes of a `.npz` file; see `AnnotatedNuclei`.

    Parameters
    ----------
    size
        (H, W) of the image.

    Raises
    ------
    RegdataError
        The file is damaged, or does not fit the image.
    """
    try:
        with labels.open("rb") as stream, np.load(stream) as file:
            arrays = {name: file[name] for name in ("inst_map", "type_map") if name in file}
    except _UNREADABLE as error:
        raise RegdataError(f"expected arrays in {labels}, but it cannot be read") from error
    if "inst_map" not in arrays:
        raise RegdataError(f"expected an array inst_map in {labels}, found none")
    check_maps(arrays, labels, size)
    instances = numbered(arrays["inst_map"])
    kinds = majority(instances, arrays["type_map"]) if "type_map" in arrays else None
    return instances, kinds


def find_annotated(folder: Path) -> list[Path]:
    """Images of a folder of annotated images, by name.

    Raises
    ------
    RegdataError
        It has no `images/`, or no images there.
    """
    if not (folder / "images").is_dir():
        raise RegdataError(f"expected a folder with images/ and labels/*.npz, but {folder} is none")
    return list_images(folder / "images")


def centres(instances: NDArray[np.int32]) -> NDArray[np.float64]:
    """(N, 2) centroids of nuclei 1..N, pixels, (x, y), corner origin."""
    return centroids(instances)


def check_maps(arrays: Mapping[str, NDArray[Any]], labels: Path, size: tuple[int, ...]) -> None:
    """Refuse maps that are of another size than the image, or no numbers from 0 on."""
    for name, array in arrays.items():
        if array.shape != tuple(size):
            raise RegdataError(f"{name} in {labels} is {array.shape}, its image {tuple(size)}")
        if array.dtype.kind not in "biuf" or (array.size and array.min() < 0):
            raise RegdataError(f"expected numbers from 0 on in {name} of {labels}")


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
