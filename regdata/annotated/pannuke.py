"""PanNuke (Gamper et al., 2020): folds of arrays as published, and files as CellViT writes them."""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import folder, wrong_folder
from regdata.annotated.maps import check_numbers, numbered
from regdata.annotated.outlined import AnnotatedNuclei, OutlinedImage, find_annotated
from regdata.annotated.read_files import cut_rgb, open_array, read_table
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet, finish
from regdata.cells import centroids
from regdata.errors import RegdataError

CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
"""Channels 0 to 4 of the masks; channel 5 is background."""
TISSUES = (
    *("Adrenal_gland", "Bile-duct", "Bladder", "Breast", "Cervix", "Colon", "Esophagus"),
    *("HeadNeck", "Kidney", "Liver", "Lung", "Ovarian", "Pancreatic", "Prostate", "Skin"),
    *("Stomach", "Testis", "Thyroid", "Uterus"),
)
"""PanNuke's tissues; a tissue's number is its place here."""
_MPP = 0.25
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Fold:
    """One fold; its arrays stay on disk, and one image is cut from them at a time.

    Attributes
    ----------
    name
        Of its folder.
    split
        `fold1` and so on, of the nearest folder that is numbered so.
    images, masks
        Files of (N, H, W, 3) and (N, H, W, 6).
    tissues
        Name per image, as in `types.npy`.
    """

    name: str
    split: str
    images: Path
    masks: Path
    tissues: tuple[str, ...]

    def numbers(self) -> tuple[int, ...]:
        """Place in `TISSUES` of the tissue of each image."""
        return tuple(_tissue(name, self.images) for name in self.tissues)

    def cut(self, k: int, typed: bool = True) -> AnnotatedNuclei:
        """Image k, without reading the others; nuclei that others cover are left out."""
        outlines, labels, _ = self.layers(k)
        types = np.append(0, labels + 1).astype(np.uint8)[outlines] if typed else None
        tissue = _tissue(self.tissues[k], self.images)
        rgb = cut_rgb(self.images, k)
        return AnnotatedNuclei(f"{self.name}_{k}", rgb, numbered(outlines), types, tissue)

    def layers(self, k: int) -> "Layers":
        """Nuclei of image k; see `split_layers`."""
        return split_layers(open_array(self.masks)[k], self.masks)

    def outlines(self, k: int) -> NDArray[np.int32]:
        """(H, W) of image k: nuclei in the order of their points, later layers on top."""
        return self.layers(k)[0]


Layer = tuple[NDArray[np.bool_], NDArray[np.int32]]
Layers = tuple[NDArray[np.int32], NDArray[np.int64], list[Layer]]


def split_layers(masks: NDArray[Any], source: Path = Path()) -> Layers:
    """Nuclei of the layers of all classes, numbered on from layer to layer.

    Parameters
    ----------
    masks
        (H, W, 5 or more): ids per class, 0 = background; channels from 5 on are ignored.
    source
        Their file, for messages.

    Returns
    -------
    tuple
        (H, W) int32 outlines, later layers on top, as in CellViT; (N,) index of the class; and of
        each layer the pixels inside, (H, W), and the number of the nucleus there, from 1 on.

    Examples
    --------
    >>> masks = np.zeros((1, 3, 6))
    >>> masks[0, :2, 0] = masks[0, 1:, 4] = 9
    >>> outlines, labels, _ = split_layers(masks)
    >>> outlines.tolist(), labels.tolist()
    ([[1, 2, 2]], [0, 4])
    """
    outlines = np.zeros(masks.shape[:2], np.int32)
    layers: list[Layer] = []
    counts, count = [], 0
    for channel in range(len(CLASSES)):
        layer = masks[..., channel]
        inside = layer != 0
        ids, places = np.unique(layer[inside], return_inverse=True)
        check_numbers(ids, "the masks", source)
        numbers = places.astype(np.int32) + np.int32(1)
        outlines[inside] = numbers + count
        layers.append((inside, numbers))
        counts.append(len(ids))
        count += len(ids)
    return outlines, np.repeat(np.arange(len(CLASSES)), counts), layers


def _centres(layer: Layer) -> NDArray[np.float64]:
    inside, numbers = layer
    nuclei = np.zeros(inside.shape, np.int32)
    nuclei[inside] = numbers
    return centroids(nuclei)


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
    if _arrays(directory):
        images = [image for fold in find_folds(directory) for image in _annotated(fold)]
        return finish(images, CLASSES, _MPP, directory, split)
    folds = sorted(
        {p.parent for p in (*directory.glob("types.csv"), *directory.glob("*/types.csv"))}
    )
    if not folds:
        raise wrong_folder(directory, "images.npy, masks.npy and types.npy, or fold0/types.csv,")
    images = [image for fold in folds for image in _cellvit_fold(fold)]
    return finish(images, CLASSES, _MPP, directory, split)


def find_folds(directory: Path) -> list[Fold]:
    """All folds in or below a folder, in the order of their paths.

    Raises
    ------
    RegdataError
        There is none, or its files do not fit each other.
    """
    arrays = _arrays(directory)
    if not arrays:
        raise RegdataError(
            f"expected images.npy of a PanNuke fold in or below {directory}, found none"
        )
    return [_open(path, directory) for path in arrays]


def _arrays(directory: Path) -> list[Path]:
    return sorted(folder(directory).rglob("images.npy"))


def _open(path: Path, directory: Path) -> Fold:
    masks, types = _beside(path, "masks"), _beside(path, "types")
    shape, of_masks = open_array(path).shape, open_array(masks).shape
    fits = len(shape) == len(of_masks) == 4 and shape[3] == 3 and of_masks[3] >= len(CLASSES)
    if not fits or of_masks[:3] != shape[:3]:
        raise RegdataError(
            f"expected (N, H, W, 3) images and (N, H, W, 6) masks in {path.parent}, found {shape} "
            f"and {of_masks}"
        )
    tissues = tuple(str(name) for name in open_array(types).ravel())
    if len(tissues) != shape[0]:
        raise RegdataError(f"expected {shape[0]} tissues in {types}, found {len(tissues)}")
    return Fold(path.parent.name, _fold_name(path.parent, directory), path, masks, tissues)


def _annotated(fold: Fold) -> list[AnnotatedImage]:
    images = []
    for k, tissue in enumerate(fold.tissues):
        _, labels, layers = fold.layers(k)
        key = f"{fold.split}_{k:05d}"
        images.append(
            AnnotatedImage(
                path=fold.images,
                points_xy=np.concatenate([_centres(layer) for layer in layers]),
                labels=labels,
                slide=key,
                split=fold.split,
                tissue=tissue,
                key=key,
                pixels=partial(cut_rgb, fold.images, k),
                outlines=partial(fold.outlines, k),
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


def _tissue(name: str, images: Path) -> int:
    def plain(text: str) -> str:
        return "".join(filter(str.isalpha, text)).casefold()

    numbers = {plain(tissue): k for k, tissue in enumerate(TISSUES)}
    if plain(name) not in numbers:
        raise RegdataError(
            f"types.npy of {images} has {name}; expected one of {len(TISSUES)}"
            f" tissues such as {TISSUES[0]}"
        )
    return numbers[plain(name)]


def _cellvit_fold(fold: Path) -> list[AnnotatedImage]:
    rows = read_table(fold / "types.csv", ("img", "type"))
    tissues = {Path(row["img"]).stem: row["type"].strip() for row in rows}
    outlined = find_annotated(fold, ".npy", len(CLASSES), typed=True)
    return [_cellvit_image(image, fold, tissues) for image in outlined]


def _cellvit_image(image: OutlinedImage, fold: Path, tissues: dict[str, str]) -> AnnotatedImage:
    if image.name not in tissues:
        raise RegdataError(
            f"expected {image.path.name} in {fold / 'types.csv'}, but it is not there"
        )
    instances, kinds = image.classed()
    found = image.with_points(centroids(instances), kinds - 1, fold.name.lower())
    return replace(found, tissue=tissues[image.name])
