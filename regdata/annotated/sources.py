"""Readers of annotated nuclei: plain folders, PanNuke folds and CoNSeP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, overload
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from regdata.annotated.pannuke_arrays import TISSUES, Fold, find_folds
from regdata.errors import RegdataError

__all__ = ["TISSUES", "Annotated", "Images", "SourceConfig", "load_images", "split_held_out"]

_CONSEP_MERGED = np.array([0, 1, 2, 3, 3, 4, 4, 4], np.uint8)
"""Of CoNSeP's seven types: 3 and 4 are epithelial, 5, 6 and 7 spindle-shaped (HoVer-Net)."""


class SourceConfig(BaseModel):
    """One set of annotated images.

    Attributes
    ----------
    path
        Folder of the set.
    layout
        "folder": `images/` and `labels/*.npz` with `inst_map` and, where there are classes,
        `type_map`; "pannuke": folds of `images.npy`, `masks.npy` and `types.npy`, anywhere
        below; "consep": `Images/*.png` and `Labels/*.mat`.
    share
        Share of the training crops drawn from this set, relative to the other sets' shares.
    hv_weight
        Weight of the HV loss; below 1 where borders between touching nuclei are approximate.
    held_out
        Images whose names begin with one of these are left out of training, to watch it; a dot
        ends a name: "train_1." is that image alone.
    classes
        Whether its types train the type branch.
    mpp
        Micrometres per pixel; None = those of the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    layout: Literal["folder", "pannuke", "consep"] = "folder"
    share: float = Field(1.0, ge=0)
    hv_weight: float = Field(1.0, ge=0)
    held_out: tuple[str, ...] = ()
    classes: bool = True
    mpp: float | None = Field(None, gt=0)


@dataclass(frozen=True)
class Annotated:
    """One annotated image.

    Attributes
    ----------
    name
        File name without extension, or fold and number ("fold1_17").
    image
        (H, W, 3) uint8 RGB.
    instances
        (H, W) int32, 0 = background; ids need not be contiguous.
    types
        (H, W) uint8, 0 = background; None where the image has no classes.
    tissue
        Number in `TISSUES`; None where it is not known.
    """

    name: str
    image: NDArray[np.uint8]
    instances: NDArray[np.int32]
    types: NDArray[np.uint8] | None = None
    tissue: int | None = None


@dataclass(frozen=True)
class Images(Sequence[Annotated]):
    """Annotated images, each read when it is asked for.

    Attributes
    ----------
    names
        Of all images, known without reading one.
    tissues
        Number in `TISSUES` per image, -1 = not known.
    read
        Image k of `names`.
    """

    names: tuple[str, ...]
    tissues: tuple[int, ...]
    read: Callable[[int], Annotated]
    rows: tuple[int, ...] | None = None

    @classmethod
    def of(cls, images: Sequence[Annotated]) -> "Images":
        """Images that are in memory already."""
        tissues = tuple(-1 if image.tissue is None else image.tissue for image in images)
        return cls(tuple(image.name for image in images), tissues, tuple(images).__getitem__)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    @overload
    def __getitem__(self, k: int) -> Annotated: ...
    @overload
    def __getitem__(self, k: slice) -> "Images": ...
    def __getitem__(self, k: int | slice) -> "Annotated | Images":
        """Image k, read now; or a part, not read."""
        rows = range(len(self)) if self.rows is None else self.rows
        return self.take(range(len(self))[k]) if isinstance(k, slice) else self.read(rows[k])

    def take(self, chosen: Sequence[int]) -> "Images":
        """Some of the images, in the order of `chosen`, not read."""
        rows = range(len(self)) if self.rows is None else self.rows
        return Images(
            tuple(self.names[k] for k in chosen),
            tuple(self.tissues[k] for k in chosen),
            self.read,
            tuple(rows[k] for k in chosen),
        )


def load_images(source: SourceConfig) -> Images:
    """All annotated images of a source, held-out ones included.

    Folders and CoNSeP are read into memory; of PanNuke, whose folds are gigabytes, an image is
    cut from the memory-mapped arrays each time it is asked for.

    Raises
    ------
    RegdataError
        Files are missing, unreadable or do not belong together.
    """
    if source.layout == "pannuke":
        return _load_folds(source)
    paths = sorted(p for p in _folder(source.path, "images").iterdir() if p.is_file())
    if not paths:
        raise RegdataError(f"expected annotated images in {source.path}/images, found none")
    read = _read_npz if source.layout == "folder" else _read_mat
    labels = _folder(source.path, "labels")
    return Images.of([_load(path, labels, read, source.classes) for path in paths])


def split_held_out(images: Images, held_out: tuple[str, ...]) -> tuple[Images, Images]:
    """Training images and held-out images, those whose names begin with one of `held_out`."""
    # the dot ends a name, so that "train_1." is not train_10
    out = [f"{name}.".startswith(held_out) for name in images.names]
    if held_out and not any(out):
        raise RegdataError(
            f"no image begins with {', '.join(held_out)}; the names are like {images.names[0]}"
        )
    return (
        images.take([k for k in range(len(images)) if not out[k]]),
        images.take([k for k in range(len(images)) if out[k]]),
    )


Maps = tuple[NDArray[np.generic], NDArray[np.generic] | None]


def _folder(path: Path, name: str) -> Path:
    for folder in (path / name, path / name.capitalize()):
        if folder.is_dir():
            return folder
    raise RegdataError(f"{path} has no {name}/ folder; expected images/ and labels/ in it")


def _load(path: Path, labels: Path, read: Callable[[Path], Maps], typed: bool) -> Annotated:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise RegdataError(f"{path} is not a readable image")
    image = np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False)
    instances, types = read(labels / path.stem)
    for array in (instances, types):
        if array is not None and array.shape != image.shape[:2]:
            raise RegdataError(
                f"the labels of {path} are {array.shape}, expected {image.shape[:2]} as the image"
            )
    kept = None if types is None or not typed else types.astype(np.uint8)
    return Annotated(path.stem, image, instances.astype(np.int32), kept)


def _read_npz(stem: Path) -> Maps:
    path = stem.with_name(stem.name + ".npz")
    if not path.exists():
        raise RegdataError(f"expected {path} beside the image {stem.name}, there is no such file")
    try:
        with np.load(path) as labels:
            maps = dict(labels)
    except (ValueError, OSError, BadZipFile) as error:
        raise RegdataError(f"{path} is not a readable .npz file: {error}") from error
    if "inst_map" not in maps:
        raise RegdataError(f"{path} holds {', '.join(maps)}; expected inst_map")
    return maps["inst_map"], maps.get("type_map")


def _read_mat(stem: Path) -> Maps:
    from scipy.io import loadmat

    path = stem.with_name(stem.name + ".mat")
    if not path.exists():
        raise RegdataError(f"expected {path} beside the image {stem.name}, there is no such file")
    try:
        labels = loadmat(path)
    except (ValueError, NotImplementedError) as error:
        raise RegdataError(f"{path} is not a MATLAB file before version 7.3: {error}") from error
    missing = {"inst_map", "type_map"} - labels.keys()
    if missing:
        raise RegdataError(f"{path} has no {' and no '.join(sorted(missing))}; expected both")
    types = labels["type_map"].astype(int)
    if types.min() < 0 or types.max() >= len(_CONSEP_MERGED):
        raise RegdataError(f"{path} has type {types.max()}; expected CoNSeP's types 0 to 7")
    return labels["inst_map"], _CONSEP_MERGED[types]


def _cut(places: list[tuple[Fold, int]], typed: bool, number: int) -> Annotated:
    fold, k = places[number]
    image, instances, types = fold.cut(k)
    kept = types if typed else None
    return Annotated(f"{fold.name}_{k}", image, instances, kept, fold.tissues[k])


def _load_folds(source: SourceConfig) -> Images:
    folds = find_folds(source.path)
    places = [(fold, k) for fold in folds for k in range(len(fold.tissues))]
    return Images(
        tuple(f"{fold.name}_{k}" for fold, k in places),
        tuple(tissue for fold in folds for tissue in fold.tissues),
        partial(_cut, places, source.classes),
    )
