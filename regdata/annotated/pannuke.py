"""PanNuke (Gamper et al., 2020): folds of arrays as published, and files as CellViT writes them."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.instance_sets import centres, check_maps, majority, numbered
from regdata.annotated.set_files import (
    cut_rgb,
    image_size,
    open_array,
    pair_files,
    read_dict,
    read_table,
    wrong_folder,
)
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet, folder, list_images
from regdata.annotated.split import finish
from regdata.errors import RegdataError

CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
"""Channels 0 to 4 of the masks; channel 5 is background."""
_MPP = 0.25
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


def load_pannuke(directory: Path, split: str | None = None) -> AnnotatedSet:
    """Read PanNuke (0.25 µm/px): points are centroids, tissues as in `types`.

    Of the published arrays (`images.npy`, `masks.npy`, `types.npy`, together or in the nested
    folders the archives unpack to) each layer of a mask holds one class with ids of its own. A
    nucleus keeps its centroid where a later layer covers it; in the outlines the later is on top.
    The files of CellViT (`fold0/images/*.png`, `labels/*.npy`, `types.csv`) have one map of all.
    Which slide an image comes from is not known.

    Parameters
    ----------
    directory
        All folds, or one.
    split
        `fold1` and so on, as the folders are numbered; all by default.

    Raises
    ------
    RegdataError
        Neither layout is found, or the files do not fit each other.
    """
    arrays = sorted(folder(directory).rglob("images.npy"))
    if arrays:
        images = [image for path in arrays for image in _fold(path, directory)]
        return finish(images, CLASSES, _MPP, directory, split)
    folds = sorted(
        {p.parent for p in (*directory.glob("types.csv"), *directory.glob("*/types.csv"))}
    )
    if not folds:
        raise wrong_folder(directory, "images.npy, masks.npy and types.npy, or fold0/types.csv,")
    images = [image for fold in folds for image in _cellvit_fold(fold)]
    return finish(images, CLASSES, _MPP, directory, split)


def _split_layers(
    masks: NDArray[Any],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Nuclei of the layers of all classes, numbered on from layer to layer.

    Parameters
    ----------
    masks
        (H, W, 5 or more): ids per class, 0 = background.

    Returns
    -------
    tuple
        (H, W) int32 outlines, later layers on top; (N, 2) centroids, pixels, corner origin, of
        the whole nuclei; (N,) index of the class.

    Examples
    --------
    >>> masks = np.zeros((1, 3, 6))
    >>> masks[0, :2, 0] = masks[0, 1:, 4] = 9
    >>> outlines, xy, labels = _split_layers(masks)
    >>> outlines.tolist(), xy.tolist(), labels.tolist()
    ([[1, 2, 2]], [[1.0, 0.5], [2.0, 0.5]], [0, 4])
    """
    outlines = np.zeros(masks.shape[:2], np.int32)
    points, labels = [np.zeros((0, 2))], [np.zeros(0, np.int64)]
    count = 0
    for channel in range(len(CLASSES)):
        layer = numbered(np.append(masks[..., channel], np.zeros_like(masks[:1, :, 0]), axis=0))[
            :-1
        ]
        xy = centres(layer)
        outlines = np.where(layer > 0, layer + count, outlines).astype(np.int32)
        points.append(xy)
        labels.append(np.full(len(xy), channel, np.int64))
        count += len(xy)
    return outlines, np.concatenate(points), np.concatenate(labels)


def _fold(path: Path, directory: Path) -> list[AnnotatedImage]:
    masks, types = _beside(path, "masks"), _beside(path, "types")
    shape, of_masks = open_array(path).shape, open_array(masks).shape
    if len(shape) != 4 or of_masks[:3] != shape[:3] or of_masks[3:] < (len(CLASSES),):
        raise RegdataError(
            f"expected (N, H, W, 3) images and (N, H, W, 6) masks in {path.parent}, found {shape} "
            f"and {of_masks}"
        )
    tissues = [str(name) for name in open_array(types).ravel()]
    if len(tissues) != shape[0]:
        raise RegdataError(f"expected {shape[0]} tissues in {types}, found {len(tissues)}")
    name = _fold_name(path.parent, directory)
    images = []
    for k, tissue in enumerate(tissues):
        _, xy, labels = _split_layers(open_array(masks)[k])
        key = f"{name}_{k:05d}"
        images.append(
            AnnotatedImage(
                path,
                xy,
                labels,
                key,
                split=name,
                tissue=tissue,
                key=key,
                pixels=partial(cut_rgb, path, k),
                outlines=partial(_layers_outlines, masks, k),
            )
        )
    return images


def _fold_name(parent: Path, directory: Path) -> str:
    """Fold as the nearest numbered folder says, up to the one that was given."""
    for path in (parent, *parent.parents):
        found = _FOLD.search(path.name)
        if found:
            return f"fold{int(found[1])}"
        if path == directory:
            break
    return parent.name


def _beside(images: Path, name: str) -> Path:
    """The other file of a fold; the archives have `images/fold1` and `masks/fold1`."""
    nested = images.parents[2] / name / images.parent.name  # no further up than the archive's own
    for path in (images.with_name(f"{name}.npy"), nested / f"{name}.npy"):
        if path.is_file():
            return path
    raise RegdataError(f"expected {name}.npy beside {images}, but there is none")


def _layers_outlines(masks: Path, index: int) -> NDArray[np.int32]:
    return _split_layers(open_array(masks)[index])[0]


def _cellvit_fold(fold: Path) -> list[AnnotatedImage]:
    rows = read_table(fold / "types.csv", ("img", "type"))
    tissues = {Path(row["img"]).stem: row["type"].strip() for row in rows}
    paths = list_images(fold / "images")
    pairs = pair_files(paths, folder(fold / "labels").glob("*.npy"), ".npy", fold)
    return [_cellvit_image(path, table, fold, tissues) for path, table in pairs]


def _cellvit_image(path: Path, table: Path, fold: Path, tissues: dict[str, str]) -> AnnotatedImage:
    if path.stem not in tissues:
        raise RegdataError(f"expected {path.name} in {fold / 'types.csv'}, but it is not there")
    maps = read_dict(table, ("inst_map", "type_map"))
    check_maps(maps, table, image_size(path))
    instances = numbered(maps["inst_map"])
    labels = majority(instances, maps["type_map"]) - 1
    if labels.max(initial=0) >= len(CLASSES):
        raise RegdataError(f"expected types up to 5 in {table}, found {labels.max() + 1}")
    return AnnotatedImage(
        path,
        centres(instances),
        labels,
        path.stem,
        split=fold.name.lower(),
        tissue=tissues[path.stem],
        outlines=partial(_dict_outlines, table),
    )


def _dict_outlines(table: Path) -> NDArray[np.int32]:
    return numbered(read_dict(table, ("inst_map",))["inst_map"])
