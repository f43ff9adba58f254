"""Labelled files of the simulated section, as the tests of the exports take them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from simulated import SimulatedPair

from regdata.cells.dataset import write_dataset
from regdata.cells.record import Record, SlideRecord
from regdata.cells.table import CellTable

CLASSES = ("negative", "CD3")
CYCLE = ("negative", "CD3", "negative", "unknown")
"""Label of nucleus i: CYCLE[i % 4]."""


def write_labelled(
    path: Path, cells: CellTable, he: SlideRecord, **columns: Any
) -> tuple[CellTable, list[str]]:
    """Write cells with labels, in portions; returns them and their labels."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(len(cells), 5)).astype(np.float16)
    cells = replace(cells, tokens=tokens)
    labels = [CYCLE[i % len(CYCLE)] for i in range(len(cells))]
    overlap = rng.random(len(cells)).astype(np.float32)
    overlap[::7] = np.nan
    named = {"label": np.array(labels), "overlap_CD3": overlap, "slide": "s_1", "patient": "p"}
    with write_dataset(path, 5) as out:
        out.append(cells, {**named, **columns})
        out.finish(("background", "nucleus"), Record(classes=CLASSES, he=he))
    return cells, labels


def he_facts(pair: SimulatedPair) -> SlideRecord:
    height, width = pair.tissue.instances.shape
    return SlideRecord(path=str(pair.he), mpp=0.25, size=(width, height))


def joined(tables: Iterator[CellTable] | Sequence[CellTable]) -> CellTable:
    (cells,) = tables
    return cells
