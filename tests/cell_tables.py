"""Tables of random cells, and files of them."""

from pathlib import Path

import numpy as np

from regdata.cells.dataset import write_dataset
from regdata.cells.record import Record
from regdata.cells.table import CellTable

KINDS = ("background", "small", "large")


def table(count: int, seed: int = 0, width: int = 4) -> CellTable:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 9, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return CellTable(
        xy=rng.uniform(0, 1000, (count, 2)),
        vertices=rng.uniform(0, 1000, (offsets[-1], 2)).astype(np.float32),
        offsets=offsets,
        tokens=rng.normal(size=(count, width)).astype(np.float16),
        kind=rng.integers(1, 3, count).astype(np.uint8),
        kind_probability=rng.random(count, np.float32),
        probability=rng.random(count, np.float32),
        area_um2=rng.random(count, np.float32),
        flags=rng.integers(0, 3, count).astype(np.uint8),
    )


def write(path: Path, *portions: CellTable, label: bool = True) -> None:
    with write_dataset(path, portions[0].tokens.shape[1]) as out:
        for k, cells in enumerate(portions):
            names = np.array(["negative", "CD3", "unknown"])[np.arange(len(cells)) % 3]
            columns = {"label": names, "slide": "s", "patient": f"p{k}"} if label else None
            out.append(cells, columns)
        out.finish(KINDS, Record(classes=("negative", "CD3")) if label else None)
