"""Cells as a SpatialData store: polygons, and a table of tokens linked to them.

Marconato et al., SpatialData, Nature Methods 2024 (doi:10.1038/s41592-024-02212-x).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from regdata.cells import CellTable, concatenate
from regdata.exports.files import optional
from regdata.exports.slide import RecordedSlide
from regdata.exports.source import Source
from regdata.files import Progress

_SHAPES, _TABLE = "nuclei", "cells"
_REGION, _INSTANCE = "region", "cell_id"


def write_spatialdata(path: Path, source: Source, he: RecordedSlide, progress: Progress) -> None:
    """Write a store with shapes `nuclei` and table `cells`.

    All cells are in memory, as SpatialData keeps them. Coordinates are level-0 pixels, which are
    the coordinate system "global"; "um" is there when the pixel size is known.

    Parameters
    ----------
    path
        Does not exist.

    Raises
    ------
    RegdataError
        spatialdata is not installed.
    """
    spatialdata = optional("spatialdata", "spatialdata")
    models = optional("spatialdata.models", "spatialdata")
    transformations = optional("spatialdata.transformations", "spatialdata")
    source.one_slide("a SpatialData store")
    cells, obs, rows = _all(source)
    progress(0.3)
    systems = {"global": transformations.Identity()}
    if he.mpp:
        systems["um"] = transformations.Scale([he.mpp, he.mpp], axes=("x", "y"))
    shapes = models.ShapesModel.parse(_frame(cells, rows), transformations=systems)
    table = models.TableModel.parse(
        _table(cells, obs, rows), region=_SHAPES, region_key=_REGION, instance_key=_INSTANCE
    )
    store = spatialdata.SpatialData(shapes={_SHAPES: shapes}, tables={_TABLE: table})
    progress(0.6)
    store.write(path)


def _all(source: Source) -> tuple[CellTable, pd.DataFrame, NDArray[np.int64]]:
    parts = list(source.portions())
    cells = concatenate([cells for cells, _, _ in parts], parts[0][0].tokens.shape[1])
    obs = pd.concat([obs for _, obs, _ in parts])
    return cells, obs, np.concatenate([rows for _, _, rows in parts])


def _frame(cells: CellTable, rows: NDArray[np.int64]) -> Any:
    """Polygons; the few whose line touches itself are made valid, as spatial queries need it."""
    geopandas, shapely = (optional(name, "spatialdata") for name in ("geopandas", "shapely"))
    owner = np.repeat(np.arange(len(cells)), np.diff(cells.offsets))
    lines = shapely.linearrings(cells.vertices.astype(np.float64), indices=owner)
    polygons = shapely.polygons(lines)
    wrong = ~shapely.is_valid(polygons)
    polygons[wrong] = shapely.buffer(polygons[wrong], 0)
    # a nucleus one pixel wide has no area between the centres of its pixels
    empty = shapely.is_empty(polygons) | (shapely.area(polygons) == 0)
    polygons[empty] = shapely.buffer(lines[empty], 0.5)
    return geopandas.GeoDataFrame({"geometry": polygons}, index=rows)


def _table(cells: CellTable, obs: pd.DataFrame, rows: NDArray[np.int64]) -> AnnData:
    named = obs.copy()
    named[_REGION] = pd.Categorical.from_codes(np.zeros(len(obs), int), [_SHAPES])
    named[_INSTANCE] = rows
    var = pd.DataFrame(index=[f"token_{i}" for i in range(cells.tokens.shape[1])])
    return AnnData(cells.tokens.astype(np.float32), named, var, obsm={"spatial": cells.xy})
