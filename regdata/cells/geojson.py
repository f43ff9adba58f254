"""GeoJSON as QuPath reads and writes it: cells, one feature per nucleus, and any features."""

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath

_COLOURS = (
    (120, 120, 120),
    (214, 39, 40),
    (31, 119, 180),
    (44, 160, 44),
    (255, 127, 14),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
)
"""Colour of class i (RGB); class 0 is the negative one. Repeats after the last."""


def colour(index: int) -> tuple[int, int, int]:
    """The colour of a class; grey is kept for the first, negative one."""
    return _COLOURS[0] if index == 0 else _COLOURS[1 + (index - 1) % (len(_COLOURS) - 1)]


def write_geojson(
    path: Path,
    contours: Iterable[NDArray[np.float32]],
    labels: NDArray[np.integer],
    classes: Sequence[str],
) -> None:
    """Write a gzipped FeatureCollection in a stream.

    Parameters
    ----------
    path
        Ends in `.geojson.gz`.
    contours
        (n, 2) per cell, level-0 pixels, corner origin.
    labels
        (N,) index of each cell's class.
    classes
        Class names.
    """
    properties = [
        json.dumps(
            {
                "objectType": "detection",
                "classification": {"name": name, "color": list(colour(i))},
            }
        )
        for i, name in enumerate(classes)
    ]
    with replacing(path) as part, gzip.open(part, "wt", compresslevel=1) as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, (contour, label) in enumerate(zip(contours, labels, strict=True)):
            ring = np.round(np.vstack([contour, contour[:1]]), 2).tolist()
            file.write(
                f"{',' if i else ''}\n"
                '{"type":"Feature","geometry":{"type":"Polygon","coordinates":'
                f'[{json.dumps(ring)}]}},"properties":{properties[label]}}}'
            )
        file.write("\n]}\n")


def read_features(path: StrPath) -> list[dict[str, Any]]:
    """The features of a GeoJSON file that have a geometry.

    Parameters
    ----------
    path
        Plain or gzipped, whatever its name: a FeatureCollection, one feature, one geometry, or a
        bare list of features or geometries.

    Returns
    -------
    list
        Features; each has a dict as "geometry".

    Raises
    ------
    RegdataError
        There is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise RegdataError(f"expected a GeoJSON file, but {path} does not exist or is a folder")
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        content = json.loads(data)
    except (ValueError, RecursionError, EOFError, OSError, zlib.error) as error:
        raise RegdataError(f"expected GeoJSON in {path}, but it cannot be read: {error}") from error
    entries = content.get("features", [content]) if isinstance(content, dict) else content
    features = [_feature(entry) for entry in entries] if isinstance(entries, list) else [{}]
    if not all(isinstance(feature.get("geometry", 0), dict | NoneType) for feature in features):
        raise RegdataError(f"expected a GeoJSON FeatureCollection or list of features in {path}")
    return [feature for feature in features if feature["geometry"] is not None]


def _feature(entry: object) -> dict[str, Any]:
    """A feature as it is, a bare geometry as the feature of it; nothing for anything else."""
    if not isinstance(entry, dict):
        return {}
    bare = "geometry" not in entry and ("coordinates" in entry or "geometries" in entry)
    return {"type": "Feature", "geometry": entry, "properties": {}} if bare else entry
