"""The cells of a file as GeoJSON for QuPath."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.cells.dataset import iterate_cells, label_index
from regdata.cells.geojson import write_geojson
from regdata.paths import StrPath


def write_cells_geojson(path: StrPath, cells: StrPath, column: str, classes: Sequence[str]) -> None:
    """All cells of a file, coloured by a column of obs; see `write_geojson`.

    Parameters
    ----------
    column
        "label" or "kind".
    classes
        The names that occur in it, the grey one first.
    """
    path = Path(path)
    cells = Path(cells)

    def contours() -> Iterator[NDArray[np.float32]]:
        for table, _ in iterate_cells(cells):
            yield from (table.contour(i) for i in range(len(table)))

    parts = [label_index(obs[column], classes) for _, obs in iterate_cells(cells)]
    labels = np.concatenate([np.zeros(0, np.int64), *parts])
    write_geojson(path, contours(), labels, classes)
