"""Tables, JSON and arrays of annotated sets, and in one line what is wrong with them."""

import csv
import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.io
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from regdata.errors import RegdataError

Arrays = dict[str, NDArray[Any]]

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError)

_MAT_UNREADABLE = (MatReadError, NotImplementedError, TypeError, IndexError, KeyError, zlib.error)


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


def read_rows(table: Path) -> list[list[str]]:
    """All lines of a csv that are not empty."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise RegdataError(f"expected a text file, but {table} is none") from error


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


def read_npz(
    path: Path, needed: Sequence[str], more: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Arrays of a `.npz` file.

    Parameters
    ----------
    more
        Arrays that are read where they are there.

    Raises
    ------
    RegdataError
        It cannot be read, or lacks an array that is needed.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            arrays = {name: file[name] for name in file if name in (*needed, *more)}
            own = list(file)
    except _UNREADABLE as error:
        raise RegdataError(f"expected arrays in {path}, but it cannot be read") from error
    return _chosen(dict.fromkeys(own, np.zeros(0)) | arrays, needed, more, path)


def read_mat(
    path: Path, needed: Sequence[str], more: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Arrays of a MATLAB file (not of version 7.3); see `read_npz`."""
    try:
        arrays = dict(scipy.io.loadmat(path))
    except (*_UNREADABLE, *_MAT_UNREADABLE) as error:
        raise RegdataError(f"expected a MATLAB file, but {path} cannot be read as one") from error
    return _chosen(arrays, needed, more, path)


def _chosen(
    arrays: Mapping[str, NDArray[Any]], needed: Sequence[str], more: Sequence[str], path: Path
) -> Arrays:
    """The arrays that are wanted; an error where one that is needed is missing."""
    if any(name not in arrays for name in needed):
        own = ", ".join(name for name in arrays if not name.startswith("__")) or "none"
        raise RegdataError(f"expected the arrays {', '.join(needed)} in {path}, found {own}")
    return {name: np.asarray(arrays[name]) for name in (*needed, *more) if name in arrays}


def open_array(path: Path) -> NDArray[Any]:
    """A `.npy` file, memory-mapped: images are cut from it one at a time."""
    try:
        return np.asanyarray(np.load(path, mmap_mode="r"))
    except _UNREADABLE as error:
        raise RegdataError(f"expected an array, but {path} cannot be read as one") from error


def cut_rgb(path: Path, index: int) -> NDArray[np.uint8]:
    """Image of a `.npy` file of (N, H, W, 3)."""
    return np.ascontiguousarray(open_array(path)[index], np.uint8)


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


def read_dict(path: Path, needed: Sequence[str], more: Sequence[str] = ()) -> Arrays:
    """Arrays of a `.npy` file that holds a dict of them; see `read_npz`."""
    try:
        with path.open("rb") as file:
            _skip_header(file)
            content = _PlainUnpickler(file).load()
    except (*_UNREADABLE, AttributeError, ImportError, IndexError, TypeError) as error:
        raise RegdataError(f"expected a dict of arrays, but {path} holds none") from error
    value = content.item() if isinstance(content, np.ndarray) and content.ndim == 0 else content
    if not isinstance(value, dict):
        raise RegdataError(f"expected a dict of arrays, but {path} holds none")
    return _chosen(value, needed, more, path)


def _skip_header(file: BinaryIO) -> None:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        np.lib.format.read_array_header_1_0(file)
    else:
        np.lib.format.read_array_header_2_0(file)
