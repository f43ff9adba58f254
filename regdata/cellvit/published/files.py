"""The result files of CellViT and CellViT++ (Hörst et al.), for scripts that expect them.

Written from a file of cells: `cells.json` with all that is known of a cell, `cell_detection.json`
with box, centroid and type, and `cells.pt` with the tokens.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.cells import CellTable, count_cells, iterate_cells, read_dataset
from regdata.cellvit.published.records import SlideFacts, cell_records, centroids, compact_json
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath

_NAMES = ("cells.json", "cell_detection.json", "cells.pt")


def write_reference_files(
    cells_h5: StrPath, folder_prefix: StrPath, facts: SlideFacts, kinds: tuple[str, ...]
) -> list[Path]:
    """Write `cells.json`, `cell_detection.json` and `cells.pt`, each complete or not at all.

    Cells pass in portions: memory does not grow with the tokens and contours of a slide. The tensor
    of tokens in `cells.pt` is prepared in a temporary file beside it, which is mapped to memory.

    `cells.pt` is a dictionary of tensors under the published names: x (N, D) float32, positions
    (N, 2) float32 as (x, y), nuclei_types (N,) int64, and metadata. The published file is a pickled
    instance of a class, which loads only where that class can be imported and with
    `weights_only=False`, which runs whatever code the file holds; this one loads without either.

    Parameters
    ----------
    cells_h5
        A finished file of cells.
    folder_prefix
        A folder, `out/slide` -> `out/slide/cells.json` (layout of CellViT); or, when it ends in
        `_`, the start of the names, `out/slide_` -> `out/slide_cells.json` (CellViT++).
    facts
        Of the slide the cells lie on.
    kinds
        Names of the kinds of cells, background first.

    Returns
    -------
    list
        The three paths.

    Raises
    ------
    RegdataError
        The cells cannot be read, have kinds without a name, or a file cannot be written.
    """
    cells_h5 = Path(cells_h5)
    folder_prefix = Path(folder_prefix)
    paths = _paths(folder_prefix)
    shape = (count_cells(cells_h5), _token_width(cells_h5))
    type_map = {str(i): name for i, name in enumerate(kinds) if i > 0}
    metadata = facts.metadata()
    with ExitStack() as stack:
        parts = [stack.enter_context(replacing(path)) for path in paths]
        lists = [stack.enter_context(part.open("w", encoding="utf-8")) for part in parts[:2]]
        mapped = stack.enter_context(tempfile.TemporaryFile(dir=parts[2].parent))
        graph = _Graph(shape, mapped)
        before = compact_json({"wsi_metadata": metadata, "type_map": type_map})[:-1] + ',"cells":['
        for cells, _ in iterate_cells(cells_h5):
            _require_kinds(cells, kinds, cells_h5)
            both = zip(*cell_records(cells, facts), strict=True)
            for file, records in zip(lists, both, strict=True):
                file.write(before + ",".join(records))
            graph.append(cells)
            before = ","
        for file in lists:
            file.write("]}" if before == "," else before + "]}")
        graph.save(parts[2], {"wsi_metadata": metadata, "nuclei_types": type_map})
    return paths


def _paths(folder_prefix: Path) -> list[Path]:
    if folder_prefix.name.endswith("_"):
        return [folder_prefix.with_name(folder_prefix.name + name) for name in _NAMES]
    return [folder_prefix / name for name in _NAMES]


def _require_kinds(cells: CellTable, kinds: tuple[str, ...], path: Path) -> None:
    if len(cells) and int(cells.kind.max()) >= len(kinds):
        raise RegdataError(
            f"{path} has cells of kind {int(cells.kind.max())}, but only {len(kinds)} kinds are "
            "named; pass `kinds=` as its model or classifier names them"
        )


class _Graph:
    """The content of `cells.pt`, filled in portions."""

    def __init__(self, shape: tuple[int, int], mapped: IO[bytes]) -> None:
        self._tokens: NDArray[np.float32]
        if shape[0] > 0:
            self._tokens = np.memmap(mapped, np.float32, "w+", shape=shape)
        else:  # an empty file cannot be mapped
            self._tokens = np.zeros(shape, np.float32)
        self._positions = np.zeros((shape[0], 2), np.float32)
        self._types = np.zeros(shape[0], np.int64)
        self._filled = 0

    def append(self, cells: CellTable) -> None:
        rows = slice(self._filled, self._filled + len(cells))
        self._tokens[rows] = cells.tokens
        self._positions[rows] = centroids(cells)
        self._types[rows] = cells.kind
        self._filled += len(cells)

    def save(self, path: Path, metadata: dict[str, Any]) -> None:
        content = {
            "x": torch.from_numpy(self._tokens),
            "positions": torch.from_numpy(self._positions),
            "metadata": metadata,
            "nuclei_types": torch.from_numpy(self._types),
        }
        with path.open("wb") as file:
            torch.save(content, file)


def _token_width(cells_h5: Path) -> int:
    first = next((cells for cells, _ in iterate_cells(cells_h5, portion=1)), None)
    return int((first or read_dataset(cells_h5).cells).tokens.shape[1])
