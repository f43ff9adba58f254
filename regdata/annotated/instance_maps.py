"""Sets of instance maps with a map or list of classes: `.npz` folders, CoNSeP, Lizard, CoNIC."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import (
    child,
    list_files,
    list_images,
    pair_files,
    parts_with,
    wrong_folder,
)
from regdata.annotated.maps import check_numbers, majority, numbered
from regdata.annotated.outlined import OutlinedImage, find_parts
from regdata.annotated.read_files import cut_rgb, open_array, read_json, read_mat, read_table
from regdata.annotated.sets import UNNAMED, AnnotatedImage, AnnotatedSet, finish
from regdata.cells import centroids
from regdata.errors import RegdataError

CONSEP = ("miscellaneous", "inflammatory", "epithelial", "spindle-shaped")
"""Merged classes of CoNSeP, as everybody scores them."""
CONSEP_ALL = (
    *("other", "inflammatory", "healthy epithelial", "malignant epithelial"),
    *("fibroblast", "muscle", "endothelial"),
)
LIZARD = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
_NUCLEUS = "nucleus"
"""The class of sets without classes."""
CONSEP_MERGED = np.array([0, 1, 2, 3, 3, 4, 4, 4], np.uint8)
"""Merged type by published one: 3 and 4 are epithelial, 5 to 7 spindle-shaped (HoVer-Net)."""
_MPP, _MPP_LIZARD = 0.25, 0.5


def load_npz(
    directory: Path, mpp: float = _MPP, split: str | None = None, classes: Sequence[str] = ()
) -> AnnotatedSet:
    """Read `[train|test/]images/NAME.*` and `labels/NAME.npz`: `inst_map`, perhaps `type_map`.

    A nucleus has the class of most of its pixels. Class names are those of `classes.json` beside
    the folders, else numbers; without a `type_map` every nucleus is of the class nucleus.

    Parameters
    ----------
    mpp
        µm per pixel of the images.
    split
        Name of a folder in lower case; all by default.
    classes
        Names of classes 1, 2, ..., instead of those of `classes.json`.

    Raises
    ------
    RegdataError
        Files are missing, damaged, or do not fit each other.
    """
    images: list[AnnotatedImage] = []
    typed: dict[bool, Path] = {}
    for part, image in find_parts(directory, split, ".npz"):
        instances, types = image.maps()
        typed[types is not None] = image.labels
        kinds = np.ones(instances.max(initial=0), np.int64)
        kinds = kinds if types is None else majority(instances, types)
        images.append(image.with_points(centroids(instances), kinds - 1, part))
    if len(typed) > 1:
        raise RegdataError(
            f"expected a type_map in all files or none, {typed[True]} has one, not {typed[False]}"
        )
    names = tuple(classes) or (_class_names(directory) if True in typed else (_NUCLEUS,))
    count = 1 + max((int(image.labels.max(initial=UNNAMED)) for image in images), default=0)
    names = names or tuple(map(str, range(1, count + 1)))
    if count > len(names):
        raise RegdataError(
            f"expected the classes 1 to {len(names)} in {directory} ({', '.join(names)}), "
            f"found {count}"
        )
    return finish(images, names, mpp, directory, split)


def load_consep(directory: Path, merge: bool = True, split: str | None = None) -> AnnotatedSet:
    """Read CoNSeP (Graham et al., 2019; 0.25 µm/px): `{Train,Test}/{Images,Labels}`.

    Labels are `.mat` with the seven published types, or `.npz` with the four merged ones, which
    are not merged again.

    Parameters
    ----------
    merge
        Types 3 and 4 become epithelial, 5, 6 and 7 spindle-shaped.
    split
        `train` or `test`; both by default.
    """
    parts = parts_with(directory, "images", "labels", split)
    if any(list_files(tables, ".npz") for _, _, tables in parts):
        if not merge:
            raise RegdataError(f"the classes of {directory} are merged already; pass merge=True")
        return load_npz(directory, _MPP, split, CONSEP)
    images = []
    for part, image in find_parts(directory, split, ".mat", len(CONSEP_ALL), typed=True):
        instances, kinds = image.classed()
        labels = CONSEP_MERGED.astype(np.int64)[kinds] if merge else kinds
        images.append(image.with_points(centroids(instances), labels - 1, part))
    return finish(images, CONSEP if merge else CONSEP_ALL, _MPP, directory, split)


def load_lizard(directory: Path, split: str | None = None) -> AnnotatedSet:
    """Read Lizard (Graham et al., 2021; 0.5 µm/px): `Lizard_Images*`, `Lizard_Labels`.

    `class[k]` is that of nucleus `id[k]`, whatever the order of the ids.

    Parameters
    ----------
    split
        `1`, `2` or `3`, of `info.csv`; all by default.

    Raises
    ------
    RegdataError
        Files are missing or damaged, or a nucleus has no class.
    """
    folders = [child(directory, f"Lizard_Images{k}") for k in (1, 2)]
    labels = child(directory, "Lizard_Labels")
    if labels is None or not any(folders):
        raise wrong_folder(directory, "Lizard_Images1/ or Lizard_Images2/ and Lizard_Labels/")
    paths = [path for part in folders if part is not None for path in list_images(part)]
    tables = list_files(child(labels, "Labels") or labels, ".mat")
    rows = read_table(labels / "info.csv", ("Filename", "Split"))
    splits = {Path(row["Filename"]).stem: row["Split"].strip() for row in rows}
    images = []
    for path, table in pair_files(paths, tables, ".mat", directory):
        if path.stem not in splits:
            raise RegdataError(
                f"expected {path.stem} in {labels / 'info.csv'}, but it is not there"
            )
        image = OutlinedImage(path, table)
        instances = image.outlines()
        kinds = _lizard(table)
        images.append(image.with_points(centroids(instances), kinds - 1, splits[path.stem]))
    return finish(images, LIZARD, _MPP_LIZARD, directory, split)


def _lizard(table: Path) -> NDArray[np.int64]:
    """(N,) class of each nucleus of a file, in the order of their ids."""
    arrays = read_mat(table, ("inst_map", "id", "class"))
    ids, kinds = (np.asarray(arrays[name], np.int64).ravel() for name in ("id", "class"))
    present = np.unique(arrays["inst_map"])
    present = present[present > 0].astype(np.int64)
    if len(ids) != len(kinds) or not np.isin(present, ids).all():
        raise RegdataError(
            f"expected one id and class for each nucleus of {table}, found {len(ids)} ids and "
            f"{len(kinds)} classes for {len(present)} nuclei"
        )
    if len(kinds) and not (kinds.min() >= 1 and kinds.max() <= len(LIZARD)):
        raise RegdataError(f"expected classes 1 to {len(LIZARD)} in {table}, found {set(kinds)}")
    order = np.argsort(ids, kind="stable")
    place = order[np.searchsorted(ids[order], present)]
    return kinds[place]


def load_conic(directory: Path, split: str | None = None) -> AnnotatedSet:
    """Read CoNIC (Graham et al., 2024; 0.5 µm/px): `images.npy`, `labels.npy`.

    The slide of a patch is the image of Lizard it was cut from, where `patch_info.csv` says so.
    A nucleus has the class of most of its pixels.
    """
    files = [directory / name for name in ("images.npy", "labels.npy")]
    if not all(path.is_file() for path in files):
        raise wrong_folder(directory, "images.npy and labels.npy")
    shapes = [open_array(path).shape for path in files]
    if len(shapes[0]) != 4 or shapes[1] != (*shapes[0][:3], 2) or shapes[0][3] != 3:
        raise RegdataError(
            f"expected (N, H, W, 3) images and (N, H, W, 2) labels in {directory}, found "
            f"{shapes[0]} and {shapes[1]}"
        )
    info = directory / "patch_info.csv"
    names = (
        [row["patch_info"] for row in read_table(info, ("patch_info",))] if info.is_file() else []
    )
    if names and len(names) != shapes[0][0]:
        raise RegdataError(f"expected {shapes[0][0]} lines in {info}, found {len(names)}")
    names = names or [f"{k:05d}" for k in range(shapes[0][0])]
    images = [_conic_image(files, k, name) for k, name in enumerate(names)]
    return finish(images, LIZARD, _MPP_LIZARD, directory, split)


def _conic_image(files: Sequence[Path], index: int, name: str) -> AnnotatedImage:
    ids, types = np.moveaxis(open_array(files[1])[index], -1, 0)
    check_numbers(ids, f"image {index}", files[1])
    check_numbers(types, f"classes of image {index}", files[1], len(LIZARD))
    instances = numbered(ids)
    labels = majority(instances, types) - 1
    source = name.rpartition("-")[0] or name
    return AnnotatedImage(
        path=files[0],
        points_xy=centroids(instances),
        labels=labels,
        slide=source,
        key=name,
        pixels=partial(cut_rgb, files[0], index),
        outlines=partial(_cut_outlines, files[1], index),
    )


def _class_names(directory: Path) -> tuple[str, ...]:
    path = directory / "classes.json"
    names = read_json(path) if path.is_file() else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RegdataError(f'expected a list of names in {path}, as ["tumour", "stroma"]')
    return tuple(names)


def _cut_outlines(labels: Path, index: int) -> NDArray[np.int32]:
    return numbered(open_array(labels)[index, ..., 0])
