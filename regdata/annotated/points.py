"""Points with named classes as a set, and those of CSV files: CellViT++ folders, and headers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import (
    contents,
    list_files,
    list_images,
    pair_folders,
    parts_with,
)
from regdata.annotated.read_files import read_rows
from regdata.annotated.sets import (
    UNNAMED,
    AnnotatedImage,
    AnnotatedSet,
    Box,
    finish,
    patient_of,
    slide_of,
)
from regdata.errors import RegdataError

_LABEL_MAPS = ("label_map.yaml", "label_map.yml")
_LABEL_LINE = re.compile(
    r"""^\s*["']?(\d+)["']?\s*:\s*(?:"([^"]+)"|'([^']+)'|([^#]+?))\s*(#.*)?$"""
)


@dataclass(frozen=True)
class NamedPoints:
    """One image as read: a class name per point, None for a nucleus without a class."""

    path: Path
    xy: NDArray[np.float64]
    names: Sequence[str | None]
    field: Box | None = None


def to_set(images: Sequence[NamedPoints], mpp: float, classes: Sequence[str] = ()) -> AnnotatedSet:
    """Give each class a number: the named ones first, then whatever else occurs, by name.

    Examples
    --------
    >>> import numpy as np
    >>> points = NamedPoints(Path("a.png"), np.zeros((2, 2)), ["tumour", None])
    >>> to_set([points], 0.25).images[0].labels.tolist()
    [0, -1]
    """
    seen = {name for image in images for name in image.names if name is not None}
    names = (*classes, *sorted(seen - set(classes)))
    index: dict[str | None, int] = {name: i for i, name in enumerate(names)} | {None: UNNAMED}
    return AnnotatedSet(tuple(_numbered(image, index) for image in images), names, mpp)


def _numbered(image: NamedPoints, index: dict[str | None, int]) -> AnnotatedImage:
    labels = np.array([index[name] for name in image.names], np.int64)
    xy = np.asarray(image.xy, np.float64).reshape(-1, 2)
    slide = slide_of(image.path.stem)
    return AnnotatedImage(
        path=image.path,
        points_xy=xy,
        labels=labels,
        slide=slide,
        field=image.field,
        patient=patient_of(slide),
    )


def load_points(
    images_dir: Path, points_dir: Path, mpp: float = 0.25, column: str | None = None
) -> AnnotatedSet:
    """Read a folder of images and a folder with `<image name>.csv`, one line per nucleus.

    Without a header the columns are x, y, label; integer labels get their names from a
    `label_map.yaml` in the folder of the points or up to two folders above it. With a header,
    the columns x, y and one class column are read. x and y are pixels of the image.

    Parameters
    ----------
    mpp
        Pixel size of the images, µm.
    column
        The class column, needed when a header names several columns besides x and y.

    Raises
    ------
    RegdataError
        A folder is missing or empty, an image has no csv, or a line cannot be read.
    """
    images = list_images(images_dir)
    tables = {path.stem: path for path in list_files(points_dir, ".csv")}
    missing = [path.name for path in images if path.stem not in tables]
    if missing:
        raise RegdataError(
            f"expected <image name>.csv in {points_dir} for each image (an empty file for no "
            f"cells); {len(missing)} of {len(images)} have none, the first is {missing[0]}; the "
            f"folder holds {contents(points_dir)}"
        )
    label_map = _find_label_map(points_dir)
    named = [_read_points(path, tables[path.stem], label_map, column) for path in images]
    return to_set(named, mpp, tuple(label_map.values()))


def load_cellvit(directory: Path, mpp: float = 0.25, split: str | None = None) -> AnnotatedSet:
    """Read `[train|test/]images/NAME.*` and `labels/NAME.csv` (x, y, class), `label_map.yaml`.

    Coordinates are taken as they are written.

    Parameters
    ----------
    mpp
        µm per pixel of the images.
    split
        Name of a folder in lower case; all by default.

    Raises
    ------
    RegdataError
        Files are missing or damaged.
    """
    found: dict[str, AnnotatedSet] = {}
    for part, pictures, tables in parts_with(directory, "images", "labels", split):
        pair_folders(pictures, tables, ".csv", directory)
        found[part] = load_points(pictures, tables, mpp)
    classes = sorted({name for one in found.values() for name in one.classes})
    mapped = (one.classes for one in found.values() if set(one.classes) == set(classes))
    names = next(mapped, tuple(classes))  # in the order of the label map, if there is one
    images = []
    for part, one in found.items():
        place = [names.index(name) for name in one.classes]
        for image in one.images:
            labels = image.labels.copy()
            for old, new in enumerate(place):
                labels[image.labels == old] = new
            images.append(replace(image, labels=labels, split=part))
    return finish(images, names, mpp, directory, split)


def _find_label_map(points_dir: Path) -> dict[str, str]:
    """Names of integer labels, from the nearest label map; empty without one."""
    above = points_dir.resolve()
    for directory in (above, *above.parents[:2]):
        for name in _LABEL_MAPS:
            if (directory / name).is_file():
                return _read_label_map(directory / name)
    return {}


def _read_label_map(path: Path) -> dict[str, str]:
    matches = map(_LABEL_LINE.match, path.read_text(encoding="utf-8-sig").splitlines())
    names = {m[1]: m[2] or m[3] or m[4] for m in matches if m}
    if not names:
        raise RegdataError(f'expected lines such as 0: "lymphocyte" in {path}, found none')
    return names


def _read_points(
    image: Path, table: Path, label_map: dict[str, str], column: str | None = None
) -> NamedPoints:
    """Read the points of one image from its csv."""
    rows = read_rows(table)
    x, y, label = 0, 1, 2
    if rows and not _is_number(rows[0][0]):
        x, y, label = _columns(rows[0], table, column)
        rows = rows[1:]
    names = []
    xy = np.zeros((len(rows), 2))
    for i, row in enumerate(rows):
        if len(row) <= max(x, y, label) or not (_is_number(row[x]) and _is_number(row[y])):
            raise RegdataError(f"expected x, y, label in every line of {table}, found {row}")
        xy[i] = float(row[x]), float(row[y])
        names.append(_name(row[label].strip(), label_map, table))
    return NamedPoints(image, xy, names)


def _columns(header: Sequence[str], table: Path, column: str | None) -> tuple[int, int, int]:
    """Positions of x, y and the class in a header."""
    names = [name.strip().lower() for name in header]
    others = [name for name in names if name not in ("x", "y", "")]
    wanted = column.lower() if column else others[0] if len(others) == 1 else None
    if "x" not in names or "y" not in names or wanted not in names:
        raise RegdataError(
            f"expected columns x, y and {column or 'one with the class'} in {table}, "
            f"found {', '.join(header)}"
        )
    return names.index("x"), names.index("y"), names.index(wanted)


def _name(label: str, label_map: dict[str, str], table: Path) -> str:
    label = label.removesuffix(".0") if _is_number(label) else label  # tables saved as floats
    if label in label_map:
        return label_map[label]
    if label_map and label not in label_map.values():
        known = ", ".join(f"{key}: {name}" for key, name in label_map.items())
        raise RegdataError(f"label {label} in {table} is not in the label map ({known})")
    if not label:
        raise RegdataError(f"expected a label in every line of {table}, found an empty one")
    return label


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
