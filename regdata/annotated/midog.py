"""MIDOG++ (Aubreville et al., 2023): mitotic figures and look-alikes as boxes of 50 px."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from regdata.annotated.files import child, folder, list_files, wrong_folder
from regdata.annotated.read_files import read_json, read_table
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet, finish
from regdata.errors import RegdataError

_CLASSES = ("mitotic figure", "not mitotic figure")
"""Categories 1 and 2."""
_TABLE = "datasets_xvalidation.csv"
_MPP = 0.25


def load_midog(directory: Path, mpp: float = _MPP, split: str | None = None) -> AnnotatedSet:
    """Read MIDOG++: one JSON of boxes, `images/NNN.tiff`, perhaps `datasets_xvalidation.csv`.

    The file looks like COCO, but its boxes are x1, y1, x2, y2; a point is a box's centre. The
    table says which images were annotated, perhaps nothing in them; without it only images with
    a box count. The tissue is the tumour type, and each image is a slide of its own.

    Parameters
    ----------
    mpp
        µm per pixel of images for which the table has no `mm_x`.
    split
        `Dataset` of the table; all by default.

    Raises
    ------
    RegdataError
        Files are missing or damaged, or the boxes are x, y, width, height.
    """
    path = _find_json(directory)
    content = read_json(path)
    pictures = child(directory, "images") or directory
    table = next((p for p in (directory / _TABLE, path.parent / _TABLE) if p.is_file()), None)
    rows = None if table is None else _read_rows(table)
    boxes = _boxes(content, path)
    images = []
    for entry in content["images"]:
        name = str(entry.get("file_name", ""))
        stem, own = Path(name).stem, boxes.get(entry.get("id"), [])
        if not own if rows is None else stem not in rows:
            continue
        if not (pictures / name).is_file():
            raise RegdataError(f"expected {pictures / name} of {path.name}, there is none")
        row = {} if rows is None else rows[stem]
        images.append(_image(pictures / name, own, str(entry.get("tumor_type", "")), row))
    return finish(images, _CLASSES, mpp, directory, split)


def _find_json(directory: Path) -> Path:
    places = (folder(directory), child(directory, "databases") or directory)
    found = sorted({path for place in places for path in list_files(place, ".json")})
    if len(found) != 1:
        raise wrong_folder(directory, f"one JSON of MIDOG++ (there are {len(found)}) and images/")
    return found[0]


def _boxes(content: Any, path: Path) -> dict[Any, list[tuple[list[float], int]]]:
    """Boxes and class indices by id of the image."""
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise RegdataError(f"expected images and annotations in {path}, found something else")
    out: dict[Any, list[tuple[list[float], int]]] = {}
    for entry in content["annotations"]:
        try:
            box = [float(side) for side in entry["bbox"]]
            kind, image = int(entry["category_id"]), entry["image_id"]
        except (KeyError, TypeError, ValueError) as error:
            raise RegdataError(
                f"expected bbox, category_id, image_id in {path}, not {entry}"
            ) from error
        if len(box) != 4 or box[2] <= box[0] or box[3] <= box[1]:
            raise RegdataError(
                f"expected boxes x1, y1, x2, y2 in {path}, found {box}; boxes x, y, width, height "
                "are COCO's"
            )
        if not 1 <= kind <= len(_CLASSES):
            raise RegdataError(f"expected category 1 or 2 in {path}, found {kind}")
        out.setdefault(image, []).append((box, kind - 1))
    return out


def _read_rows(table: Path) -> dict[str, dict[str, str]]:
    """Lines by number of the image, as its file is called."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        delimiter = ";" if ";" in next(csv.reader(file, delimiter="\n"), [""])[0] else ","
    rows = read_table(table, ("Slide", "Dataset"), delimiter)
    return {f"{Path(row['Slide'].strip()).stem:0>3}": row for row in rows}


def _image(
    path: Path, boxes: list[tuple[list[float], int]], tissue: str, row: dict[str, str]
) -> AnnotatedImage:
    corners = np.array([box for box, _ in boxes], np.float64).reshape(-1, 4)
    text = row.get("mm_x") or ""
    try:
        mpp = float(text) * 1000 if text.strip() else None
    except ValueError as error:
        raise RegdataError(f"expected mm per pixel of {path.name} in mm_x, found {text}") from error
    return AnnotatedImage(
        path=path,
        points_xy=(corners[:, :2] + corners[:, 2:]) / 2,
        labels=np.array([kind for _, kind in boxes], np.int64),
        slide=path.stem,
        split=(row.get("Dataset") or "").strip(),
        tissue=tissue or (row.get("Tumor") or "").strip(),
        mpp=mpp,
    )
