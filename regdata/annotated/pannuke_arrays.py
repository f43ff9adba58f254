"""PanNuke's folds: memory-mapped arrays, one image cut from them at a time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

TISSUES = (
    *("Adrenal_gland", "Bile-duct", "Bladder", "Breast", "Cervix", "Colon", "Esophagus"),
    *("HeadNeck", "Kidney", "Liver", "Lung", "Ovarian", "Pancreatic", "Prostate", "Skin"),
    *("Stomach", "Testis", "Thyroid", "Uterus"),
)
"""PanNuke's tissues; a tissue's number is its place here."""
_CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
"""Types 1..5: the channels 0..4 of the masks; channel 5 is background."""


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes
    ----------
    name
        Of its folder.
    images, masks
        Files of (N, H, W, 3) and (N, H, W, 6).
    tissues
        Number in `TISSUES` per image.
    """

    name: str
    images: Path
    masks: Path
    tissues: tuple[int, ...]

    def cut(self, k: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
        """Image, instances and types of image k, without reading the others."""
        image = np.load(self.images, mmap_mode="r")[k].astype(np.uint8)
        return (image, *merge_layers(np.load(self.masks, mmap_mode="r")[k]))


def merge_layers(
    masks: NDArray[np.integer | np.floating],
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """One instance map and one type map of the masks of all classes.

    Ids are made unique across classes, and later classes overwrite earlier ones, as in CellViT.

    Parameters
    ----------
    masks
        (H, W, 5 or more): ids per class, 0 = background; channels from 5 on are ignored.

    Returns
    -------
    tuple
        (H, W) int32, 0 = background; (H, W) uint8, 1 + the channel, 0 = background.
    """
    instances = np.zeros(masks.shape[:2], np.int32)
    types = np.zeros(masks.shape[:2], np.uint8)
    count = 0
    for channel in range(len(_CLASSES)):
        layer = masks[..., channel]
        inside = layer > 0
        ids, numbers = np.unique(layer[inside], return_inverse=True)
        instances[inside] = numbers + count + 1
        types[inside] = channel + 1
        count += len(ids)
    return instances, types


def find_folds(path: Path) -> list[Fold]:
    """All folds in or below a folder, in the order of their paths."""
    found = sorted(path.rglob("images.npy"))
    if not found:
        raise RegdataError(f"expected images.npy of a PanNuke fold in or below {path}, found none")
    folds = [_open(images) for images in found]
    if len({fold.name for fold in folds}) < len(folds):
        names = ", ".join(fold.name for fold in folds)
        raise RegdataError(f"the folds below {path} are {names}; give them folders of unlike names")
    return folds


def _open(images: Path) -> Fold:
    masks = _beside(images, "masks")
    shape, of_masks = (np.load(p, mmap_mode="r").shape for p in (images, masks))
    if len(shape) != 4 or shape[-1] != 3:
        raise RegdataError(f"{images} is {shape}; expected (N, H, W, 3)")
    if len(of_masks) != 4 or of_masks[:3] != shape[:3] or of_masks[3] < len(_CLASSES):
        raise RegdataError(f"{masks} is {of_masks}; expected {(*shape[:3], 6)} as {images} has")
    tissues = tuple(_tissue(str(name), images) for name in np.load(_beside(images, "types")))
    if len(tissues) != shape[0]:
        raise RegdataError(f"types.npy has {len(tissues)} tissues for {shape[0]} in {images}")
    return Fold(images.parent.name, images, masks, tissues)


def _beside(images: Path, name: str) -> Path:
    """The file of the fold; the published archives have `images/fold1` and `masks/fold1`."""
    parts = [name if part == "images" else part for part in images.parent.parts]
    for path in (images.with_name(f"{name}.npy"), Path(*parts) / f"{name}.npy"):
        if path.exists():
            return path
    raise RegdataError(f"{images} has no {name}.npy beside it; expected images, masks and types")


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
