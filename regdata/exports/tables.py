"""Cells as tables for machines: Parquet, and the HDF5 of CLAM and TRIDENT."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.exports.files import optional
from regdata.exports.slide import RecordedSlide
from regdata.exports.source import Source
from regdata.files import Progress, replacing

_PATCH_UM = 16.0
"""Side of the patch around a nucleus in files of CLAM."""


def write_parquet(path: Path, source: Source, tokens: bool, progress: Progress) -> None:
    """Write one row per cell: the columns of obs, x, y, contour and, if asked for, token.

    `contour` is a list x0, y0, x1, y1, ...; `token` a list of float32 of fixed length. The schema's
    metadata have `regdata`, JSON of what tells the columns' meaning.

    Raises
    ------
    RegdataError
        pyarrow is not installed.
    """
    pyarrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    note = {"regdata": json.dumps({"source": str(source.path), "classes": source.classes})}
    writer: Any = None
    done = 0
    with replacing(path) as part:
        try:
            for cells, obs, _ in source.portions():
                columns = _columns(pyarrow, cells, obs, tokens)
                table = pyarrow.table(columns).replace_schema_metadata(note)
                writer = writer or parquet.ParquetWriter(part, table.schema, compression="zstd")
                writer.write_table(table)
                done += len(cells)
                progress(done / len(source))
        finally:
            if writer is not None:
                writer.close()


def _columns(pyarrow: Any, cells: CellTable, obs: pd.DataFrame, tokens: bool) -> dict[str, Any]:
    columns = {str(name): pyarrow.array(obs[name], from_pandas=True) for name in obs}
    columns["x"], columns["y"] = (pyarrow.array(column) for column in cells.xy.T.copy())
    columns["contour"] = pyarrow.ListArray.from_arrays(
        pyarrow.array((2 * cells.offsets).astype(np.int32)), pyarrow.array(cells.vertices.ravel())
    )
    if tokens:
        values = pyarrow.array(cells.tokens.astype(np.float32).ravel())
        columns["token"] = pyarrow.FixedSizeListArray.from_arrays(values, cells.tokens.shape[1])
    return columns


def _patch_corners(
    xy: NDArray[np.float64], side: int, size: tuple[int, int] | None
) -> NDArray[np.int64]:
    """(N, 2) top-left corners of square patches around points, kept on the slide.

    Parameters
    ----------
    xy
        (N, 2), level-0 pixels.
    side
        Of a patch, level-0 pixels.
    size
        (w, h) of the slide, if known.

    Examples
    --------
    >>> _patch_corners(np.array([[50.2, 3.0]]), 64, (100, 80)).tolist()
    [[18, 0]]
    """
    last = np.array(size) - side if size else np.iinfo(np.int64).max
    corners: NDArray[np.int64] = np.rint(xy - side / 2).astype(np.int64)
    return np.maximum(np.minimum(corners, last), 0)


def write_clam(path: Path, source: Source, he: RecordedSlide, progress: Progress) -> None:
    """Write `features`, `coords`, `labels` and `xy`, as CLAM and TRIDENT name them.

    `labels` are numbers of the names in its attribute `classes`.
    """
    name = source.one_slide("a file of CLAM")
    side = round(_PATCH_UM / he.known_mpp(source.path))
    rows = len(source)
    done = 0
    with replacing(path) as part, h5py.File(part, "w") as file:
        coords = file.create_dataset("coords", (rows, 2), np.int64)
        coords.attrs.update({"patch_size": side, "patch_level": 0, "patch_size_level0": side})
        coords.attrs.update({"downsample": np.ones(2), "name": name})
        labels = file.create_dataset("labels", (rows,), np.int64)
        labels.attrs["classes"] = list(source.classes)
        xy = file.create_dataset("xy", (rows, 2), np.float64)
        for cells, _, numbers in source.portions():
            if "features" not in file:
                width = cells.tokens.shape[1]
                chunk = (min(rows, 256), width)
                file.create_dataset("features", (rows, width), np.float32, chunks=chunk)
            here = slice(done, done + len(cells))
            file["features"][here] = cells.tokens
            coords[here] = _patch_corners(cells.xy, side, he.size)
            labels[here] = source.labels[numbers]
            xy[here] = cells.xy
            done += len(cells)
            progress(done / rows)
