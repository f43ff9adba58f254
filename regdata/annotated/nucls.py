"""The NuCLS set (breast cancer, Amgad et al., 2022) in its own layout and that of CellViT++."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from regdata.annotated.files import child, contents, folder, list_images
from regdata.annotated.points import NamedPoints, load_points, to_set
from regdata.annotated.read_files import read_rows
from regdata.annotated.sets import AnnotatedSet, Box, finish, slide_of
from regdata.annotated.views import crop_to_field, drop_unnamed, resample
from regdata.errors import RegdataError

Level = Literal["raw", "main", "super"]
Ambiguous = Literal["drop", "ignore"]

_HIERARCHY = {  # raw class: (main class, super class)
    "tumor": ("tumor_nonMitotic", "tumor_any"),
    "mitotic_figure": ("tumor_mitotic", "tumor_any"),
    "fibroblast": ("nonTILnonMQ_stromal", "nonTIL_stromal"),
    "vascular_endothelium": ("nonTILnonMQ_stromal", "nonTIL_stromal"),
    "macrophage": ("macrophage", "nonTIL_stromal"),
    "lymphocyte": ("lymphocyte", "sTIL"),
    "plasma_cell": ("plasma_cell", "sTIL"),
    "neutrophil": ("other_nucleus", "other_nucleus"),
    "eosinophil": ("other_nucleus", "other_nucleus"),
    "myoepithelium": ("other_nucleus", "other_nucleus"),
    "ductal_epithelium": ("other_nucleus", "other_nucleus"),
}
_AMBIGUOUS = ("apoptotic_body", "unlabeled")
_FIELDS = "ALL_FOV_LOCATIONS.csv"
_FIELD_CODE = 253  # red value of the annotated field in a mask; nuclei lie on top of it
_MPP = 0.2
_MPP_CELLVIT = 0.25


def load_nucls(
    directory: Path,
    level: Level = "super",
    split: str | None = None,
    ambiguous: Ambiguous = "drop",
    crop: bool = False,
    mpp: float | None = None,
) -> AnnotatedSet:
    """Read the corrected single-rater set: box centres as points, classes as corrected.

    In the original layout (`rgb` or `rgbs`, `csv`; 0.2 µm/px) the nuclei outside the annotated
    field count as nuclei without a class: the images reach beyond it, and there only some nuclei
    are annotated. The field comes from `csv/ALL_FOV_LOCATIONS.csv`, else from the mask, else it
    is the whole image. The layout of CellViT++ (`test/images`, `test/labels`; 0.25 µm/px) has
    whole fields.

    Parameters
    ----------
    level
        Which of the three class hierarchies to use.
    split
        Original layout: a file of `train_test_splits` without its ending, such as `fold_1_test`;
        all slides by default. CellViT++ layout: `test` (default) or `train`.
    ambiguous
        Apoptotic bodies and unlabelled nuclei: left out, so that a cell found there is false, or
        kept without a class, so that it is neither right nor wrong.
    crop
        Cut the images to their fields; nuclei outside are left out.
    mpp
        Bring the images to this pixel size; as they are by default.

    Raises
    ------
    RegdataError
        Neither layout is found, or a table lacks its columns.
    """
    found = _load(directory, level, split, ambiguous)
    found = crop_to_field(found) if crop else found
    return found if mpp is None else resample(found, mpp)


def _load(directory: Path, level: Level, split: str | None, ambiguous: Ambiguous) -> AnnotatedSet:
    for part in (directory / (split or "test"), folder(directory)):
        if (part / "labels").is_dir() and (part / "images").is_dir():
            name = split or part.name
            return _in_split(_load_cellvit(part, level, ambiguous), part, name)
    images = child(directory, "rgb", "rgbs")
    if images is None or not (directory / "csv").is_dir():
        raise RegdataError(
            f"expected the NuCLS folders rgb and csv, or test/images and test/labels, in "
            f"{directory}, found {contents(directory)}"
        )
    wanted = _slides(directory, split)
    fields = _read_fields(directory / "csv" / _FIELDS)
    # tables without an image are let be: one release has a table of an image it took out
    paths = [p for p in list_images(images) if wanted is None or slide_of(p.stem) in wanted]
    if not paths:
        raise RegdataError(f"no image in {images} belongs to a slide of {split}.csv")
    named = [_load_image(path, directory, fields, level, ambiguous) for path in paths]
    if all(name is None for image in named for name in image.names):
        raise RegdataError(
            f"expected nuclei with a class inside the annotated fields of {directory}, found "
            f"none; the boxes in {_FIELDS} must be in pixels of the images"
        )
    return _in_split(to_set(named, _MPP, class_names(level)), directory, split or "")


def _in_split(found: AnnotatedSet, directory: Path, split: str) -> AnnotatedSet:
    images = [replace(image, split=split) for image in found.images]
    return finish(images, found.classes, found.mpp, directory)


def class_names(level: Level) -> tuple[str, ...]:
    """Classes of a hierarchy, in the order of the set's own list.

    Examples
    --------
    >>> class_names("super")
    ('tumor_any', 'nonTIL_stromal', 'sTIL', 'other_nucleus')
    """
    return tuple(dict.fromkeys(_at_level(raw, level) for raw in _HIERARCHY))


def _at_level(raw: str, level: Level) -> str:
    return {"raw": raw, "main": _HIERARCHY[raw][0], "super": _HIERARCHY[raw][1]}[level]


def _load_cellvit(part: Path, level: Level, ambiguous: Ambiguous) -> AnnotatedSet:
    """Read that layout; a class that is not of the level is ambiguous."""
    column = f"{level}_classification"
    points = load_points(part / "images", part / "labels", _MPP_CELLVIT, column)
    plain = [name.removeprefix("correction_") for name in points.classes]
    if not set(plain) & set(class_names(level)):
        raise RegdataError(
            f"expected {level} classes of NuCLS ({', '.join(class_names(level))}) in "
            f"{part / 'labels'}, found {', '.join(points.classes) or 'no nucleus'}"
        )
    known = [name if name in class_names(level) else None for name in plain]
    images = [
        NamedPoints(one.path, one.points_xy, [known[label] for label in one.labels])
        for one in points.images
    ]
    found = to_set(images, points.mpp, class_names(level))
    return drop_unnamed(found) if ambiguous == "drop" else found


def _slides(directory: Path, split: str | None) -> set[str] | None:
    if split is None:
        return None
    path = directory / "train_test_splits" / f"{split}.csv"
    if not path.is_file():
        raise RegdataError(f"expected the split {path}, but there is no such file")
    header, *rows = read_rows(path)
    if "slide_name" not in header:
        raise RegdataError(f"expected a column slide_name in {path}, found {', '.join(header)}")
    return {row[header.index("slide_name")] for row in rows}


def _read_fields(path: Path) -> dict[str, Box]:
    """Annotated field of each image, pixels; empty without such a table."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    needed = ("fovname", "xmin", "ymin", "xmax", "ymax")
    if not rows or any(name not in rows[0] for name in needed):
        return {}
    return {row["fovname"].removesuffix(".png"): _box(row, path) for row in rows}


def _box(row: dict[str, str], path: Path) -> Box:
    try:
        return (float(row["xmin"]), float(row["ymin"]), float(row["xmax"]), float(row["ymax"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RegdataError(f"expected xmin, ymin, xmax, ymax in {path}, found {row}") from error


def _load_image(
    image: Path, directory: Path, fields: dict[str, Box], level: Level, ambiguous: Ambiguous
) -> NamedPoints:
    table = directory / "csv" / f"{image.stem}.csv"
    if not table.is_file():
        raise RegdataError(f"expected {table} for {image.name}, but there is no such file")
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    raw = [_raw_class(row, table) for row in rows]
    boxes = np.array([_box(row, table) for row in rows]).reshape(-1, 4)
    field = fields.get(image.stem) or _field_of_mask(directory, image.stem)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    left, top, right, bottom = field or (-np.inf, -np.inf, np.inf, np.inf)
    inside = np.all((centres >= (left, top)) & (centres < (right, bottom)), axis=1)
    left_out = _AMBIGUOUS if ambiguous == "drop" else ()
    nuclei = [
        i for i, name in enumerate(raw) if not name.startswith("fov") and name not in left_out
    ]
    names = [
        None if raw[i] in _AMBIGUOUS or not inside[i] else _at_level(raw[i], level) for i in nuclei
    ]
    return NamedPoints(image, centres[nuclei], names, field)


def _raw_class(row: dict[str, str], table: Path) -> str:
    """Raw class without the prefix of corrected ones; every class list derives from it."""
    value = row.get("raw_classification") or row.get("group")  # older releases say group
    if value is None:
        raise RegdataError(
            f"expected a column raw_classification in {table}, found {', '.join(map(str, row))}"
        )
    name = value.removeprefix("correction_")
    if name not in _HIERARCHY and name not in _AMBIGUOUS and not name.startswith("fov"):
        raise RegdataError(f"class {value} in {table} is no NuCLS class")
    return name


def _field_of_mask(directory: Path, stem: str) -> Box | None:
    """Bounding box of the field drawn in the mask; None without a mask or a field."""
    for name in ("mask", "masks"):
        path = directory / name / f"{stem}.png"
        mask = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if mask is not None:
            rows, cols = np.nonzero(mask[:, :, 2] == _FIELD_CODE)
            if len(rows):
                right, bottom = int(cols.max()) + 1, int(rows.max()) + 1
                return (float(cols.min()), float(rows.min()), float(right), float(bottom))
    return None
