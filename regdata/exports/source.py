"""What of a file of cells is exported: which rows, of which class, of which slide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray

from regdata.cells import CellTable, Record, iterate_cells, label_index, read_record
from regdata.errors import RegdataError
from regdata.names import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Source:
    """The cells of a file that are exported.

    Attributes
    ----------
    path
        The file.
    record
        How it was made.
    column
        "label"; "kind" in a file without labels.
    classes
        Names of the classes, the negative one first, "unknown" last if it is kept.
    labels
        (N,) int64 per row of the file, index into `classes`; -1: not exported.
    slides
        Names of the slides of the exported cells.
    slide
        (N,) int64 per row, index into `slides`.
    group
        (N,) str per row, what may not be in two parts: the patient, else the slide.
    """

    path: Path
    record: Record
    column: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    slides: tuple[str, ...]
    slide: NDArray[np.int64]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        """Number of exported cells."""
        return int((self.labels >= 0).sum())

    @property
    def left_out(self) -> int:
        """Number of cells of the file that are not exported."""
        return len(self.labels) - len(self)

    @property
    def counts(self) -> dict[str, int]:
        """Number of exported cells per class."""
        number = np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))
        return dict(zip(self.classes, number.tolist(), strict=True))

    def portions(self) -> Iterator[tuple[CellTable, pd.DataFrame, NDArray[np.int64]]]:
        """The exported cells in portions of n, their rows of obs and (n,) numbers in the file."""
        start = 0
        for cells, obs in iterate_cells(self.path):
            rows = np.flatnonzero(self.labels[start : start + len(cells)] >= 0)
            yield cells.take(rows), obs.iloc[rows], rows + start
            start += len(cells)

    def one_slide(self, form: str) -> str:
        """The name of the only slide.

        Raises
        ------
        RegdataError
            There are several, and this format has room for one.
        """
        if len(self.slides) > 1:
            raise RegdataError(
                f"{self.path} has cells of {len(self.slides)} slides, {form} holds one: "
                f"pass `slide=NAME` ({_some(self.slides)})"
            )
        return self.slides[0]


def open_source(path: Path, keep_unknown: bool, slide: str | None = None) -> Source:
    """Choose what of a file is exported.

    Parameters
    ----------
    path
        Of `regdata build`, `label-images` or `segment`.
    keep_unknown
        Whether cells of unknown label are exported, as a class of that name.
    slide
        Only the cells of this one.

    Raises
    ------
    RegdataError
        No cell is left, or there is no such slide.
    """
    record = read_record(path)
    with h5py.File(path, "r") as file:
        obs = read_elem(file["obs"])
    column = "label" if "label" in obs else "kind"
    named = _names(record.classes, obs, column)
    labels = label_index(obs[column], named)
    if column == "label" and keep_unknown:
        labels[labels < 0] = len(named)
        named = (*named, UNKNOWN)
    own = str(path.stem)
    slides = obs["slide"].astype(str).to_numpy(str) if "slide" in obs else np.full(len(obs), own)
    if slide is not None and slide not in slides:
        raise RegdataError(f"{path} has no slide {slide}; it has {_some(sorted(set(slides)))}")
    labels[(slides != slide) & (slide is not None)] = -1
    if not (labels >= 0).any():
        hint = "" if keep_unknown else "; `keep_unknown=True` takes those of unknown label, too"
        raise RegdataError(f"{path} has no cells to export{hint}")
    present = tuple(sorted(set(slides[labels >= 0].tolist())))
    number = label_index(slides, present)
    return Source(
        path=path,
        record=record,
        column=column,
        classes=named,
        labels=labels,
        slides=present,
        slide=number,
        group=_groups(obs, slides),
    )


def _groups(obs: pd.DataFrame, slides: NDArray[np.str_]) -> NDArray[np.str_]:
    """The patient of each cell; the slide where there is none, or one slide shows several."""
    if "patient" not in obs:
        return slides
    patients = obs["patient"].astype(str).to_numpy(str)
    pairs = pd.DataFrame({"slide": slides, "patient": patients}).drop_duplicates()
    return slides if pairs["slide"].duplicated().any() else patients


def _names(classes: Sequence[str], obs: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Names of the classes: as the file lists them, then what else occurs."""
    listed = [*classes] if column == "label" else []
    values = obs[column].astype("category").cat.categories
    others = [str(name) for name in values if str(name) not in (*listed, UNKNOWN)]
    if column == "kind":  # background is the network's word for no nucleus
        others = [name for name in map(str, values) if name != "background"]
    return tuple(name for name in (*listed, *others) if name != UNKNOWN or column == "kind")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
