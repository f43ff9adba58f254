"""What lies in and beside a file of segmented cells: its description, GeoJSON, other layouts."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.cells import (
    FLAGS,
    CellTable,
    GridRecord,
    Record,
    SlideRecord,
    TilesRecord,
    iterate_cells,
    read_record,
)
from regdata.cellvit.networks import Classifier, Model
from regdata.cellvit.published import SlideFacts, write_reference_files
from regdata.cellvit.tiles import Segmentation
from regdata.errors import RegdataError
from regdata.slides import Slide


def quality_columns(cells: CellTable, run: Segmentation) -> dict[str, NDArray[np.float32]]:
    """(N,) focus, fold and pen of the tile in whose core each cell lies; NaN if not run."""
    of_cells = run.quality_of(cells)
    return dict(zip(("focus", "fold", "pen"), of_cells.T, strict=True))


def describe(run: Segmentation, model: Model, classifier: Classifier | None, key: str) -> Record:
    """What the file says of how it was made; for when the run is over."""
    plan, slide = run.plan, run.plan.slide
    settings = run.settings.reading(model.config)
    tiles = TilesRecord(
        row=np.array([tile.place[0] for tile in run.tiles], np.int64),
        column=np.array([tile.place[1] for tile in run.tiles], np.int64),
        cells=np.array([tile.cells for tile in run.tiles], np.int64),
        focus=np.array([tile.quality.focus for tile in run.tiles], np.float32),
        fold=np.array([tile.quality.fold for tile in run.tiles], np.float32),
        pen=np.array([tile.quality.pen for tile in run.tiles], np.float32),
        skipped=np.array([tile.skipped for tile in run.tiles], np.bool_),
    )
    mpp = slide.known_mpp("he_mpp")
    return Record(
        key=key,
        model=model.describe(),
        he=SlideRecord(path=str(slide.path.resolve()), mpp=mpp, size=slide.size),
        grid=GridRecord(tile=plan.grid.tile, overlap=plan.grid.overlap, mpp=plan.mpp),
        tiles=tiles,
        settings={"segment": asdict(run.settings), "postprocess": asdict(settings)},
        classifier=classifier.info.model_dump(mode="json") if classifier else {},
        flags=FLAGS,
    )


def write_cellvit_files(slide: Slide, cells: Path) -> None:
    """The layouts of the published code, in a folder named like the file of cells."""
    grid = read_record(cells).grid
    if grid is None:
        raise RegdataError(f"{cells} does not say how its slide was cut; segment it again")
    mpp = slide.known_mpp("he_mpp")
    facts = SlideFacts(slide.size, mpp, grid.mpp, None, grid.tile, grid.overlap)
    write_reference_files(cells, cells.with_suffix(""), facts, kinds_of(cells))


def kinds_of(cells: Path) -> tuple[str, ...]:
    """Names of the kinds of a file of cells, background first."""
    for _, obs in iterate_cells(cells, 1):
        return tuple(str(name) for name in obs["kind"].cat.categories)
    return ("background",)
