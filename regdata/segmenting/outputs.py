"""What lies in and beside a file of segmented cells: its description, GeoJSON, other layouts."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import FLAGS, CellTable, iterate_cells, read_about
from regdata.cellvit.networks import Classifier, Model
from regdata.cellvit.published import SlideFacts, write_reference_files
from regdata.cellvit.tiles import Segmentation
from regdata.slides import Slide


def quality_columns(cells: CellTable, run: Segmentation) -> dict[str, NDArray[np.float32]]:
    """Focus, fold and pen of the tile in whose core each cell lies; NaN where none was run."""
    of_cells = run.quality_of(cells)
    return dict(zip(("focus", "fold", "pen"), of_cells.T, strict=True))


def describe(
    run: Segmentation, model: Model, classifier: Classifier | None, key: str
) -> dict[str, Any]:
    """What the file says of how it was made; for when the run is over."""
    plan, slide = run.plan, run.plan.slide
    settings = run.settings.reading(model.config)
    tiles = {
        "row": np.array([tile.place[0] for tile in run.tiles], np.int64),
        "column": np.array([tile.place[1] for tile in run.tiles], np.int64),
        "cells": np.array([tile.cells for tile in run.tiles], np.int64),
        "focus": np.array([tile.quality.focus for tile in run.tiles], np.float32),
        "fold": np.array([tile.quality.fold for tile in run.tiles], np.float32),
        "pen": np.array([tile.quality.pen for tile in run.tiles], np.float32),
        "skipped": np.array([tile.skipped for tile in run.tiles], np.bool_),
    }
    about: dict[str, Any] = {
        "key": key,
        "model": {**model.describe(), "precision": str(model.precision).removeprefix("torch.")},
        "slide": {
            "path": str(slide.path.resolve()),
            "mpp": slide.known_mpp("--mpp"),
            "width": slide.size[0],
            "height": slide.size[1],
        },
        "grid": {"tile": plan.grid.tile, "overlap": plan.grid.overlap, "mpp": plan.mpp},
        "tiles": tiles,
        "settings": json.dumps(
            {"segment": asdict(run.settings), "postprocess": asdict(settings)}, default=str
        ),
        "flags": FLAGS,
    }
    if classifier is not None:
        about["classifier"] = classifier.info.model_dump_json()
    return about


def write_cellvit_files(slide: Slide, cells: Path) -> None:
    """The layouts of the published code, in a folder named like the file of cells."""
    grid, mpp = read_about(cells)["grid"], slide.known_mpp("--mpp")
    tile, overlap = int(grid["tile"]), int(grid["overlap"])
    facts = SlideFacts(slide.size, mpp, float(grid["mpp"]), None, tile, overlap)
    write_reference_files(cells, cells.with_suffix(""), facts, kinds_of(cells))


def kinds_of(cells: Path) -> tuple[str, ...]:
    """Names of the kinds of a file of cells, background first."""
    for _, obs in iterate_cells(cells, 1):
        return tuple(str(name) for name in obs["kind"].cat.categories)
    return ("background",)
