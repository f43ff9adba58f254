"""Folders in the layout of SegPath (Komura et al., 2023): names, pairs, splits and their leaks.

`<antigen>_<cell type>_<slide>_<x>_<y>_HE.png` beside `..._mask.png`, x and y the top-left corner of
the tile in pixels of its slide, and perhaps `<antigen>_fileinfo.csv` (antigen, filename,
train_val_test). Sub-folders do not matter.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdata.annotated.sets import NO_SPLIT, AnnotatedImage, AnnotatedSet, finish
from regdata.errors import RegdataError

_NAME = re.compile(r"(.+)_([^_]+)_([^_]+)_(\d+)_(\d+)_(HE|mask)\.png", re.IGNORECASE)
_COLUMNS = ("antigen", "filename", "train_val_test")
_MPP = 0.22


@dataclass(frozen=True)
class Part:
    """What the name of one file says.

    Attributes
    ----------
    x, y
        Corner of the tile on its slide, pixels.
    is_mask
        Whether it is the mask, not the H&E image.
    """

    antigen: str
    cell_type: str
    slide: str
    x: int
    y: int
    is_mask: bool


@dataclass(frozen=True)
class SegPathImage:
    """An image and its mask.

    Attributes
    ----------
    part
        What the image's name says.
    stem
        Its name without `_HE.png`.
    """

    part: Part
    stem: str
    he: Path
    mask: Path


def parse_name(name: str) -> Part | None:
    """What a file name says; None for one of another form.

    Examples
    --------
    >>> parse_name("CD3CD20_Lymphocyte_039_124928_049152_HE.png")
    Part(antigen='CD3CD20', cell_type='Lymphocyte', slide='039', x=124928, y=49152, is_mask=False)
    """
    found = _NAME.fullmatch(name)
    if found is None or name.startswith("."):
        return None
    antigen, cell_type, slide, x, y, kind = found.groups()
    return Part(antigen, cell_type, slide, int(x), int(y), kind.lower() == "mask")


def find_pairs(folder: Path, antigen: str | None = None) -> list[SegPathImage]:
    """Images of one antigen with their masks, by slide and place.

    Parameters
    ----------
    antigen
        Without regard to case; not needed where there is one.

    Raises
    ------
    RegdataError
        There is no such antigen, an image without its mask or the other way round, or one twice.
    """
    if not folder.is_dir():
        raise RegdataError(f"{folder}: no such folder")
    files = {path: part for path in folder.rglob("*") if (part := parse_name(path.name))}
    if not files:
        raise RegdataError(
            f"{folder} holds no images named as in SegPath: expected "
            "ANTIGEN_CELLTYPE_SLIDE_X_Y_HE.png and ..._mask.png, also in sub-folders"
        )
    chosen = _choose_antigen([part.antigen for part in files.values()], antigen, folder)
    pairs: dict[str, dict[bool, Path]] = {}
    for path in sorted(files):
        if files[path].antigen != chosen:
            continue
        stem = path.name.rpartition("_")[0]
        own = pairs.setdefault(stem, {})
        other = own.setdefault(files[path].is_mask, path)
        if other != path:
            raise RegdataError(f"{path.name} is there twice, in {other.parent} and {path.parent}")
    _check_complete(pairs)
    found = [SegPathImage(files[p[False]], stem, p[False], p[True]) for stem, p in pairs.items()]
    return sorted(found, key=lambda image: (image.part.slide, image.part.y, image.part.x))


def _choose_antigen(present: Iterable[str], wanted: str | None, folder: Path) -> str:
    """The one antigen that is meant.

    Raises
    ------
    RegdataError
        It is not there, or several are and none was asked for.
    """
    names = sorted(set(present))
    fits = [name for name in names if wanted is None or name.casefold() == wanted.casefold()]
    if len(fits) == 1:
        return fits[0]
    what = "several antigens" if wanted is None else f"no images of the antigen {wanted}"
    raise RegdataError(f"{folder} holds {what}; pass `antigen=` with one of {', '.join(names)}")


def _check_complete(pairs: Mapping[str, Mapping[bool, Path]]) -> None:
    alone = [own for own in pairs.values() if len(own) == 1]
    if alone:
        ((is_mask, path),) = alone[0].items()
        missing = "HE.png" if is_mask else "mask.png"
        raise RegdataError(
            f"{len(alone)} of {len(pairs)} images lack their other file (first: {path} has no "
            f"..._{missing}); copy the missing files there, or take these away"
        )


def read_splits(folder: Path, images: Sequence[SegPathImage]) -> tuple[Path, list[str]] | None:
    """The published split of each image, and the list it stands in; None without a list.

    Raises
    ------
    RegdataError
        The list lacks a column, or puts one image in two splits.
    """
    part = images[0].part
    names = [f"{part.antigen}_fileinfo.csv", f"{part.antigen}_{part.cell_type}_fileinfo.csv"]
    paths = sorted(path for name in names for path in folder.rglob(name))
    if not paths:
        return None
    try:
        table = pd.read_csv(paths[0], dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise RegdataError(
            f"{paths[0]} cannot be read as CSV: {str(error).splitlines()[0]}"
        ) from None
    absent = [name for name in _COLUMNS[1:] if name not in table.columns]
    if absent:
        raise RegdataError(
            f"{paths[0]} has no column {' or '.join(absent)}; expected {', '.join(_COLUMNS)}"
        )
    split = _assign_splits(table["filename"], table["train_val_test"], paths[0])
    return paths[0], [split.get(image.stem, NO_SPLIT) for image in images]


def _assign_splits(filenames: Iterable[str], splits: Iterable[str], path: Path) -> dict[str, str]:
    """Split by stem; names may be of the image, of its mask, or the stem itself.

    Raises
    ------
    RegdataError
        One image is in two splits.
    """
    out: dict[str, str] = {}
    for filename, split in zip(filenames, splits, strict=True):
        stem = re.sub(r"(_(HE|mask))?(\.png)?$", "", filename.strip().rpartition("/")[2])
        name = split.strip() or NO_SPLIT
        if out.setdefault(stem, name) != name:
            raise RegdataError(f"{path} puts {stem} in two splits, {out[stem]} and {name}")
    return out


def load_segpath(
    directory: Path, antigen: str | None = None, split: str | None = None
) -> AnnotatedSet:
    """Read the images of one antigen with slide and split; none has a nucleus.

    SegPath marks stained pixels, not nuclei, so there is nothing here to score cells against:
    the set serves to look at splits (`regdata.annotated.sets.leaks`). `regdata build --segpath`
    finds the nuclei and labels them by the masks.

    Parameters
    ----------
    antigen
        Needed where the folder holds several.
    split
        Of `ANTIGEN_fileinfo.csv`; all by default.
    """
    pairs = find_pairs(directory, antigen)
    splits = read_splits(directory, pairs)
    names = splits[1] if splits else [NO_SPLIT] * len(pairs)
    images = [
        AnnotatedImage(
            path=pair.he,
            points_xy=np.zeros((0, 2)),
            labels=np.zeros(0, np.int64),
            slide=pair.part.slide,
            split="" if name == NO_SPLIT else name,
        )
        for pair, name in zip(pairs, names, strict=True)
    ]
    return finish(images, (pairs[0].part.cell_type,), _MPP, directory, split, points=False)
