"""Cells with their measurements as GeoJSON for QuPath."""

import gzip
import json
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from regdata.cells import colour
from regdata.exports.source import Source
from regdata.files import Progress, replacing

_DIGITS = 6  # of a measurement; single precision has no more


def _measurements(obs: pd.DataFrame) -> list[str]:
    """The numeric columns of each row as a JSON object; what is missing is left out.

    Examples
    --------
    >>> _measurements(pd.DataFrame({"area_um2": [40.5, np.nan], "label": ["a", "b"]}))
    ['{"area_um2": 40.5}', '{}']
    """
    columns = [
        _texts(str(name), obs[name]) for name in obs if pd.api.types.is_numeric_dtype(obs[name])
    ]
    rows = zip(*columns, strict=True) if columns else ((),) * len(obs)
    return ["{" + ", ".join(filter(None, row)) + "}" for row in rows]


def _texts(name: str, column: pd.Series) -> list[str]:
    """The entry of each row, empty where the value is missing or infinite."""
    key = json.dumps(name)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        return [f"{key}: {value}" for value in column.tolist()]
    values = column.to_numpy(np.float64, na_value=np.nan)
    return [
        f"{key}: {value:.{_DIGITS}g}" if fine else ""
        for value, fine in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]


def write_qupath(path: Path, source: Source, progress: Progress) -> None:
    """Write a FeatureCollection in a stream, one detection per cell.

    Parameters
    ----------
    path
        Ends in `.geojson`, or in `.geojson.gz` to be packed.
    """
    source.one_slide("a GeoJSON")
    kinds = [
        json.dumps({"name": name, "color": list(colour(i))})
        for i, name in enumerate(source.classes)
    ]
    with replacing(path) as part:
        packed = path.name.endswith(".gz")
        with gzip.open(part, "wt", 1) if packed else part.open("w", encoding="utf-8") as file:
            _write(file, source, kinds, progress)


def _write(file: TextIO, source: Source, kinds: list[str], progress: Progress) -> None:
    done, separator = 0, ""
    file.write('{"type":"FeatureCollection","features":[')
    for cells, obs, rows in source.portions():
        numbers = zip(source.labels[rows].tolist(), _measurements(obs), strict=True)
        for i, (label, measured) in enumerate(numbers):
            contour = cells.contour(i).astype(np.float64)
            ring = np.round(np.vstack([contour, contour[:1]]), 2).tolist()
            file.write(
                f'{separator}\n{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":'
                f'[{json.dumps(ring)}]}},"properties":{{"objectType":"detection",'
                f'"classification":{kinds[label]},"measurements":{measured}}}}}'
            )
            separator = ","
        done += len(cells)
        progress(done / len(source))
    file.write("\n]}\n")
