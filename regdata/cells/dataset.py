"""The one file format: an AnnData file in HDF5, written in a stream, one row per cell.

Layout (schema 2)
-----------------
X : (N, D) float16, tokens.
obs : slide, patient, kind, kind_probability, probability, area_um2, flags; in a labelled file
    also label, reason and what they were made from; see docs/dataset.md.
obsm/spatial : (N, 2) float64, centroid (x, y), level-0 H&E pixels, corner origin.
uns/regdata : contours/vertices (V, 2) and contours/offsets (N + 1,), and the `Record` of how the
    file was made; in a file with labels by intensities also pixels, see `labelling.measuring`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, write_elem
from numpy.typing import NDArray

from regdata.cells.columns import Columns, Rows
from regdata.cells.record import SCHEMA, Record
from regdata.cells.stream import Stream
from regdata.cells.table import CellTable
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath

_LARGE = ("contours", "pixels")
"""What uns/regdata holds besides the record."""
_COLUMNS = ("kind", "kind_probability", "probability", "area_um2", "flags")


def label_index(names: Iterable[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """(N,) int64 index of each name in `classes`, -1 for what is not among them."""
    places = {name: i for i, name in enumerate(classes)}
    return np.array([places.get(str(name), -1) for name in names], dtype=np.int64)


@dataclass(frozen=True)
class CellDataset:
    """A file of cells read into memory.

    Attributes
    ----------
    path
        Where it was read.
    cells
        The cells.
    obs
        One row per cell; see the layout above.
    record
        How the file was made.
    """

    path: Path
    cells: CellTable
    obs: pd.DataFrame
    record: Record

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, negative first; empty in an unlabelled file."""
        return self.record.classes

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) index into `classes`, -1 for unknown."""
        return label_index(self.obs["label"], self.classes)


class DatasetWriter:
    """Takes cells in any number of portions; open one with `write_dataset`."""

    def __init__(self, file: h5py.File, token_width: int) -> None:
        tokens = file.create_dataset(
            "X",
            (0, token_width),
            np.float16,
            maxshape=(None, token_width),
            chunks=(256, token_width),
            compression="lzf",
        )
        vertices = file.create_dataset(
            "uns/regdata/contours/vertices",
            (0, 2),
            np.float32,
            maxshape=(None, 2),
            chunks=(8192, 2),
            compression="lzf",
        )
        self._file = file
        self._width = token_width
        self._tokens = Stream(tokens)
        self._vertices = Stream(vertices)
        self._columns = Columns(("slide", "patient", "label", "reason", "image", "split"))
        self._xy, self._lengths = Rows(), Rows()
        self._lengths.append(np.zeros(1, np.int64))

    def append(self, cells: CellTable, columns: Mapping[str, Any] | None = None) -> None:
        """Add cells, with further columns of the same length or one value for all."""
        self._tokens.append(cells.tokens)
        self._vertices.append(cells.vertices)
        self._xy.append(cells.xy)
        self._lengths.append(np.diff(cells.offsets))
        own = {name: getattr(cells, name) for name in _COLUMNS}
        self._columns.append(len(cells), {**own, **(columns or {})})

    def finish(
        self,
        kinds: tuple[str, ...],
        record: Record | None = None,
        arrays: Mapping[str, NDArray[Any]] | None = None,
        pixels: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
    ) -> None:
        """Write everything that is not there already.

        Parameters
        ----------
        arrays
            Further entries of obsm, (N, ...).
        pixels
            By name the packed pixels of the nuclei, see `PixelValues.to_arrays`.
        """
        if len(self._xy) == 0:
            self.append(CellTable.empty(self._width))
        self._tokens.flush()
        self._vertices.flush()
        obs = self._columns.frame()
        obs["kind"] = pd.Categorical.from_codes(obs["kind"].to_numpy(np.int64), list(kinds))
        obs.index = obs.index.astype(str)
        var = pd.DataFrame(index=[f"token_{i}" for i in range(self._width)])
        self._file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(self._file, "obs", obs)
        write_elem(self._file, "var", var)
        write_elem(self._file, "obsm", {"spatial": self._xy.array(), **(arrays or {})})
        for name in ("varm", "layers", "obsp", "varp"):
            write_elem(self._file, name, {})
        _mark_group(self._file["uns"])
        _mark_group(self._file["uns/regdata"])
        _mark_group(self._file["uns/regdata/contours"])
        offsets = np.cumsum(self._lengths.array())
        write_elem(self._file, "uns/regdata/contours/offsets", offsets)
        if pixels:
            write_elem(self._file, "uns/regdata/pixels", pixels)
        write_record(self._file, replace(record or Record(), versions=versions()))


def write_record(file: h5py.File, record: Record) -> None:
    """Put a record in the place of the one a file has."""
    group = file["uns/regdata"]
    for name in group.keys() - set(_LARGE):
        del group[name]
    for name, value in record.to_dict().items():
        write_elem(group, name, value)


def _mark_group(group: h5py.Group) -> None:
    group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})


@contextmanager
def write_dataset(path: StrPath, token_width: int) -> Iterator[DatasetWriter]:
    """Write a file of cells: append in the block, `finish` at its end.

    The file takes its name when the block ends well; a killed run leaves nothing there.
    """
    with replacing(Path(path)) as part, h5py.File(part, "w") as file:
        yield DatasetWriter(file, token_width)


def versions() -> dict[str, str]:
    """Versions of the packages that shape the numbers."""
    names = ("regdata", "torch", "timm", "numpy", "scikit-image", "opencv-python-headless")
    return {name: metadata.version(name) for name in (*names, "SimpleITK", "anndata")}


@contextmanager
def _open(path: StrPath) -> Iterator[h5py.File]:
    path = Path(path)
    if not path.is_file():
        raise RegdataError(f"{path}: no such file")
    if not h5py.is_hdf5(path):
        raise RegdataError(
            f"{path} is not a cell dataset (no HDF5); expected a file of regdata build"
        )
    with h5py.File(path, "r") as file:
        if "uns/regdata/schema" not in file:
            raise RegdataError(f"{path} is not a regdata dataset; expected a file of regdata build")
        schema = int(file["uns/regdata/schema"][()])
        if schema > SCHEMA:
            raise RegdataError(
                f"{path} has schema {schema}, this regdata reads up to {SCHEMA}; update regdata"
            )
        yield file


def read_dataset(path: StrPath) -> CellDataset:
    """Read a file of cells.

    Raises
    ------
    RegdataError
        When the file is missing or is not a regdata dataset.
    """
    path = Path(path)
    with _open(path) as file:
        obs = read_elem(file["obs"])
        count = len(obs)
        return CellDataset(path, _read_rows(file, obs, slice(0, count)), obs, _record(file))


def read_record(path: StrPath) -> Record:
    """What a file says of how it was made."""
    with _open(path) as file:
        return _record(file)


def _record(file: h5py.File) -> Record:
    group = file["uns/regdata"]
    return Record.from_dict({name: read_elem(group[name]) for name in group if name not in _LARGE})


def iterate_cells(path: StrPath, portion: int = 8192) -> Iterator[tuple[CellTable, pd.DataFrame]]:
    """The cells of a file and their rows of obs, in portions."""
    with _open(path) as file:
        obs = read_elem(file["obs"])
        for start in range(0, len(obs), portion):
            rows = slice(start, min(start + portion, len(obs)))
            yield _read_rows(file, obs, rows), obs.iloc[rows]


def iterate_images(path: StrPath) -> Iterator[tuple[int, CellTable]]:
    """The cells of each image of a file, without their tokens, and its number; 0 for a slide."""
    with _open(path) as file:
        obs = read_elem(file["obs"])
        slide = np.zeros(len(obs), np.int64)
        number = obs["image_number"].to_numpy() if "image_number" in obs else slide
        cuts = np.flatnonzero(np.diff(number)) + 1
        for start, stop in pairwise([0, *cuts.tolist(), len(obs)]):
            if stop > start:
                rows = slice(start, stop)
                yield int(number[start]), _read_rows(file, obs, rows, tokens=False)


def _read_rows(file: h5py.File, obs: pd.DataFrame, rows: slice, tokens: bool = True) -> CellTable:
    contours = file["uns/regdata/contours"]
    offsets = contours["offsets"][rows.start : rows.stop + 1]
    part = obs.iloc[rows]
    return CellTable(
        xy=file["obsm/spatial"][rows],
        vertices=contours["vertices"][offsets[0] : offsets[-1]],
        offsets=offsets - offsets[0],
        tokens=file["X"][rows] if tokens else np.zeros((len(part), 0), np.float16),
        kind=part["kind"].cat.codes.to_numpy(np.uint8),
        kind_probability=part["kind_probability"].to_numpy(np.float32),
        probability=part["probability"].to_numpy(np.float32),
        area_um2=part["area_um2"].to_numpy(np.float32),
        flags=part["flags"].to_numpy(np.uint8),
    )


def read_measured(path: StrPath) -> tuple[CellDataset, dict[str, NDArray[np.float32]]]:
    """A file of cells without its tokens, and by name the (N, 21) curves of its nuclei."""
    path = Path(path)
    with _open(path) as file:
        obs = read_elem(file["obs"])
        cells = _read_rows(file, obs, slice(0, len(obs)), tokens=False)
        curves = {name: array[:] for name, array in file["obsm"].items() if name != "spatial"}
        return CellDataset(path, cells, obs, _record(file)), curves


def read_pixels(path: StrPath) -> dict[str, dict[str, NDArray[Any]]]:
    """By name the packed pixels of nuclei, see `PixelValues.to_arrays`; empty if not kept."""
    with _open(path) as file:
        group = file["uns/regdata"]
        return dict(read_elem(group["pixels"])) if "pixels" in group else {}


def read_outlines(path: StrPath) -> CellTable:
    """The cells of a file without their tokens."""
    with _open(path) as file:
        obs = read_elem(file["obs"])
        return _read_rows(file, obs, slice(0, len(obs)), tokens=False)


def count_cells(path: StrPath) -> int:
    """Number of cells in a file."""
    with _open(path) as file:
        return int(file["X"].shape[0])
