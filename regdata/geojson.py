"""Cells as GeoJSON, one feature per nucleus, the form QuPath opens by drag and drop."""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.atomic import replacing

COLOURS = (
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
    return COLOURS[0] if index == 0 else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]


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
