"""Files that annotated sets are made of: found by name, read, and what is wrong with them said."""

import csv
import json
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.io
from numpy.typing import NDArray
from PIL import Image
from scipy.io.matlab import MatReadError

from regdata.annotated.sets import contents, folder
from regdata.errors import RegdataError

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError)

_MAT_UNREADABLE = (MatReadError, NotImplementedError, TypeError, IndexError, KeyError, zlib.error)


def child(directory: Path, *names: str) -> Path | None:
    """The first of some sub-folders that is there, whatever its case."""
    if not directory.is_dir():
        return None
    there = {path.name.casefold(): path for path in sorted(directory.iterdir()) if path.is_dir()}
    return next((there[name.casefold()] for name in names if name.casefold() in there), None)


def wrong_folder(directory: Path, expected: str) -> RegdataError:
    """The error of a folder that is not what it should be."""
    return RegdataError(f"expected {expected} in {directory}, found {contents(folder(directory))}")


def parts_with(
    directory: Path, images: str, labels: str, split: str | None = None
) -> list[tuple[str, Path, Path]]:
    """Splits of a set: (name, images, labels) of each folder that has both sub-folders.

    A folder that has them itself is one split without a name.

    Parameters
    ----------
    split
        The one that is wanted; all by default.

    Raises
    ------
    RegdataError
        There is none.
    """
    found = []
    for part in (folder(directory), *sorted(p for p in directory.iterdir() if p.is_dir())):
        pair = child(part, images), child(part, labels)
        if pair[0] is not None and pair[1] is not None:
            found.append(("" if part == directory else part.name.lower(), pair[0], pair[1]))
    if not found:
        raise wrong_folder(directory, f"{images}/ and {labels}/, or folders with both,")
    found = found[:1] if found[0][0] == "" else found
    if split is not None and split not in (names := [name for name, _, _ in found]):
        known = ", ".join(name for name in names if name) or "none"
        raise RegdataError(f"expected a split of {directory} ({known}), got {split}")
    return [part for part in found if split in (None, part[0])]


def pair_files(
    images: Sequence[Path], annotations: Iterable[Path], ending: str, source: Path
) -> list[tuple[Path, Path]]:
    """Each image with the annotation of the same name.

    Parameters
    ----------
    ending
        Of annotations, for messages, such as `.mat`.
    source
        The folder, for messages.

    Raises
    ------
    RegdataError
        Two images share a name, or one has no annotation, or the other way round.
    """
    by_name: dict[str, Path] = {}
    for path in images:
        other = by_name.setdefault(path.stem, path)
        if other != path:
            raise RegdataError(f"expected one image named {path.stem}, found {other} and {path}")
    tables: dict[str, Path] = {}
    for path in annotations:
        if path.name.startswith("."):  # macOS leaves "._NAME" beside each file of an archive
            continue
        other = tables.setdefault(path.stem, path)
        if other != path:
            raise RegdataError(f"expected one {path.name}, found {other} and {path}")
    for kind, alone in (
        (f"images without NAME{ending}", sorted(by_name.keys() - tables)),
        (f"NAME{ending} without an image", sorted(tables.keys() - by_name)),
    ):
        if alone:
            raise RegdataError(
                f"expected NAME{ending} for each image of {source}, found {len(alone)} {kind}, "
                f"the first is {alone[0]}"
            )
    return [(path, tables[stem]) for stem, path in by_name.items()]


def read_table(path: Path, needed: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """Lines of a CSV with a header.

    Raises
    ------
    RegdataError
        It is no text, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RegdataError(f"expected a table, but {path} cannot be read as one") from error
    header = reader.fieldnames or ()
    absent = [name for name in needed if name not in header]
    if absent:
        found = ", ".join(header) or "none"
        raise RegdataError(f"expected a column {' and '.join(absent)} in {path}, found {found}")
    short = next((i for i, row in enumerate(rows, 2) if any(row[n] is None for n in needed)), None)
    if short is not None:
        raise RegdataError(f"expected {', '.join(needed)} in every line of {path}, not in {short}")
    return rows


def read_xyc(path: Path, classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (N, 2) and class numbers (N,) of a CSV x,y,class without a header; may be empty.

    Parameters
    ----------
    classes
        Class numbers are below it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
        table = np.array([[float(cell) for cell in row] for row in rows])
    except (OSError, ValueError) as error:
        raise RegdataError(f"expected lines x,y,class without a header in {path}") from error
    if not rows:
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    if table.shape[1] != 3 or not np.isfinite(table).all():
        raise RegdataError(f"expected lines x,y,class in {path}, found {','.join(rows[0])}")
    kinds = table[:, 2].astype(np.int64)
    if (kinds != table[:, 2]).any() or kinds.min() < 0 or kinds.max() >= classes:
        raise RegdataError(
            f"expected classes 0 to {classes - 1} in {path}, found {set(table[:, 2])}"
        )
    return table[:, :2], kinds


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RegdataError(f"expected JSON, but {path} cannot be read as it: {error}") from error


def read_mat(path: Path, needed: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays of a MATLAB file (not of version 7.3).

    Raises
    ------
    RegdataError
        It cannot be read, or lacks an array.
    """
    try:
        arrays = dict(scipy.io.loadmat(path))
    except (*_UNREADABLE, *_MAT_UNREADABLE) as error:
        raise RegdataError(f"expected a MATLAB file, but {path} cannot be read as one") from error
    return _require_arrays(arrays, needed, path)


def _require_arrays(
    arrays: Mapping[str, NDArray[Any]], needed: Sequence[str], path: Path
) -> dict[str, NDArray[Any]]:
    """The arrays that are needed."""
    absent = [name for name in needed if name not in arrays]
    if absent:
        own = ", ".join(name for name in arrays if not name.startswith("__")) or "none"
        raise RegdataError(f"expected the arrays {', '.join(needed)} in {path}, found {own}")
    return {name: np.asarray(arrays[name]) for name in needed}


def open_array(path: Path) -> NDArray[Any]:
    """A `.npy` file, memory-mapped: images are cut from it one at a time."""
    try:
        return np.asanyarray(np.load(path, mmap_mode="r"))
    except _UNREADABLE as error:
        raise RegdataError(f"expected an array, but {path} cannot be read as one") from error


def cut_rgb(path: Path, index: int) -> NDArray[np.uint8]:
    """Image of a `.npy` file of (N, H, W, 3)."""
    return np.ascontiguousarray(open_array(path)[index], np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture, from its header."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except OSError as error:
        raise RegdataError(f"expected an image, but {path} cannot be read as one") from error


class _PlainUnpickler(pickle.Unpickler):
    """Makes arrays and nothing else: a pickle from elsewhere may call any function."""

    def find_class(self, module: str, name: str) -> Any:
        root = module.replace("numpy._core", "numpy.core")
        allowed = {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy.core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
        if (root, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return super().find_class(module, name)


def read_dict(path: Path, needed: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays of a `.npy` file that holds a dict of them.

    Raises
    ------
    RegdataError
        It holds something else, or lacks an array.
    """
    try:
        with path.open("rb") as file:
            _skip_header(file)
            content = _PlainUnpickler(file).load()
    except (*_UNREADABLE, AttributeError, ImportError, IndexError, TypeError) as error:
        raise RegdataError(f"expected a dict of arrays, but {path} holds none") from error
    value = content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content
    if not isinstance(value, dict):
        raise RegdataError(f"expected a dict of arrays, but {path} holds none")
    return _require_arrays(value, needed, path)


def _skip_header(file: BinaryIO) -> None:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        np.lib.format.read_array_header_1_0(file)
    else:
        np.lib.format.read_array_header_2_0(file)
