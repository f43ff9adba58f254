"""PanopTILs (Liu et al., 2024; breast cancer): masks or tables, and as CellViT++ has it."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from regdata.annotated.files import (
    child,
    folder,
    list_files,
    list_images,
    pair_files,
    pair_folders,
    parts_with,
    wrong_folder,
)
from regdata.annotated.read_files import read_table, read_xyc
from regdata.annotated.sets import UNNAMED, AnnotatedImage, AnnotatedSet, finish, patient_of
from regdata.annotated.views import drop_unnamed
from regdata.cells import centroids
from regdata.errors import RegdataError

Level = Literal["raw", "super"]

RAW = (
    *("CancerEpithelium", "StromalCellNOS", "ActiveStromalCellNOS", "TILsCell", "ActiveTILsCell"),
    *("NormalEpithelium", "OtherCell"),
)
"""Codes 1 to 7 of the masks; 8 is ambiguous, 0 and 9 are no nucleus."""
SUPER = ("Epithelial", "Stromal", "TILs", "Other")
_OF_RAW = np.array([0, 1, 1, 2, 2, 0, 3])
_OF_CELLVIT = np.array([3, 0, 1, 2])  # 0 Other, 1 Epithelial, 2 Stromal, 3 TILs
_AMBIGUOUS = 8
_MPP = re.compile(r"_MPP-([\d.]+)")
_BOXES = (("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))


def load_panoptils(
    directory: Path,
    level: Level = "super",
    split: str | None = None,
    points: Literal["masks", "csv"] = "masks",
    ambiguous: Literal["drop", "ignore"] = "drop",
) -> AnnotatedSet:
    """Read PanopTILs (0.25 µm/px).

    In the original layout (`rgbs`, `masks`, `csv`, for bootstrapped nuclei below `tcga` and
    `acs`) a nucleus is a connected part of one class in the second channel of the mask, without
    the edges in its third. The layout of CellViT++ (`train`, `test` with `images`,
    `annotations`) has points of the four super classes.

    Parameters
    ----------
    directory
        One of the two original sets, not both, or the folder of CellViT++.
    split
        Original layout: a file of `train_test_splits` such as `fold_1_test`; CellViT++: a folder.
    points
        Original layout: nuclei of the masks, or the boxes and `group` of the tables.
    ambiguous
        Nuclei called ambiguous: left out, or kept without a class.

    Raises
    ------
    RegdataError
        Neither layout is found, or files are missing or damaged.
    """
    rgbs = sorted(p for p in folder(directory).rglob("rgbs") if p.is_dir())
    if not rgbs:
        return _load_cellvit(directory, level, split)
    if len({path.parent.parent for path in rgbs}) > 1:
        raise RegdataError(
            f"expected the bootstrapped or the manual nuclei of PanopTILs, {directory} has several "
            f"sets; name one, such as {rgbs[0].parent}"
        )
    wanted = _slides(directory, split)
    images = []
    for part in rgbs:
        other, ending = ("csv", ".csv") if points == "csv" else ("masks", ".png")
        tables = child(part.parent, other)
        if tables is None:
            raise wrong_folder(part.parent, f"rgbs/ and {other}/")
        files = [p for p in list_files(tables, ending) if p.name != "ALL_FOV_LOCATIONS.csv"]
        for path, table in pair_files(list_images(part), files, ending, part.parent):
            if wanted is None or _slide(path.stem) in wanted:
                images.append(_image(path, table, level, split or ""))
    names = RAW if level == "raw" else SUPER
    if not images:
        raise RegdataError(f"no image of {directory} belongs to a slide of {split}.csv")
    mpp = {_mpp(image.path.stem) for image in images}
    if len(mpp) > 1:
        raise RegdataError(f"expected one pixel size in names of {directory}, found {sorted(mpp)}")
    found = finish(images, names, mpp.pop(), directory)
    return drop_unnamed(found) if ambiguous == "drop" else found


def _image(path: Path, table: Path, level: Level, split: str) -> AnnotatedImage:
    outlines = None
    if table.suffix == ".csv":
        xy, codes = _read_boxes(table)
    else:
        instances, codes = _read_mask(table)
        xy, outlines = centroids(instances), partial(_mask_outlines, table)
    labels = np.where(codes == _AMBIGUOUS, UNNAMED, codes - 1)
    if level == "super":
        labels = np.where(labels < 0, labels, _OF_RAW[labels])
    slide = _slide(path.stem)
    return AnnotatedImage(
        path=path,
        points_xy=xy,
        labels=labels,
        slide=slide,
        split=split,
        patient=patient_of(slide),
        outlines=outlines,
    )


def _read_mask(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Nuclei 1..N of a mask, (H, W), and the code of each, 1 to 8."""
    bgr = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if bgr is None or bgr.ndim != 3 or bgr.dtype != np.uint8:
        raise RegdataError(f"expected a mask of three channels, but {path} is none")
    codes, edges = bgr[..., 1], bgr[..., 0]  # OpenCV gives the third channel first
    nuclei = np.where((edges == 0) & (codes <= _AMBIGUOUS), codes, 0)
    parts = label(nuclei, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    instances = np.asarray(parts, np.int32)
    code = np.zeros(int(instances.max(initial=0)) + 1, np.int64)
    code[instances] = nuclei  # the same in all pixels of a part
    return instances, code[1:]


def _mask_outlines(path: Path) -> NDArray[np.int32]:
    return _read_mask(path)[0]


def _read_boxes(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres of the boxes of a table and the codes of their groups."""
    rows = read_table(path, ("group",))
    names = next((box for box in _BOXES if all(name in (rows or [{}])[0] for name in box)), None)
    if rows and names is None:
        raise RegdataError(f"expected xmin, ymin, xmax, ymax in {path}, found {', '.join(rows[0])}")
    kept = [row for row in rows if _code(row["group"], path)]
    try:
        boxes = np.array([[float(row[name]) for name in names or ()] for row in kept])
    except (TypeError, ValueError) as error:
        raise RegdataError(f"expected numbers in {', '.join(names or ())} of {path}") from error
    boxes = boxes.reshape(-1, 4)
    codes = np.array([_code(row["group"], path) for row in kept], np.int64)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, codes


def _code(group: str, path: Path) -> int:
    """Code of a class name; 0 for what is no nucleus."""
    if group.startswith("UnknownOrAmbiguous"):
        return _AMBIGUOUS
    if group.upper() in ("EXCLUDE", "BACKGROUND"):
        return 0
    if group not in RAW:
        raise RegdataError(f"expected a class of PanopTILs in {path}, found {group}")
    return RAW.index(group) + 1


def _load_cellvit(directory: Path, level: Level, split: str | None) -> AnnotatedSet:
    if level == "raw":
        raise RegdataError(f"raw classes need the original layout, {directory} is not in it")
    images = []
    for part, pictures, tables in parts_with(directory, "images", "annotations", split):
        for path, table in pair_folders(pictures, tables, ".csv", directory):
            xy, kinds = read_xyc(table, len(SUPER))
            slide = _slide(path.stem)
            patient = patient_of(slide)
            images.append(
                AnnotatedImage(
                    path=path,
                    points_xy=xy,
                    labels=_OF_CELLVIT[kinds],
                    slide=slide,
                    split=part,
                    patient=patient,
                )
            )
    return finish(images, SUPER, 0.25, directory, split)


def _slides(directory: Path, split: str | None) -> Sequence[str] | None:
    if split is None:
        return None
    for base in (directory, directory.parent):
        path = base / "train_test_splits" / f"{split}.csv"
        if path.is_file():
            return [row["slide_name"] for row in read_table(path, ("slide_name",))]
    raise RegdataError(
        f"expected {directory / 'train_test_splits' / split}.csv, but there is no such file"
    )


def _slide(stem: str) -> str:
    return stem.partition("_")[0]


def _mpp(stem: str) -> float:
    found = _MPP.search(stem)
    return float(found[1].rstrip(".")) if found else 0.25
