"""Segmenting a whole slide, tile by tile, in bounded memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from regdata.cells import EDGE, CellTable, concatenate
from regdata.cellvit.inference import predict
from regdata.cellvit.postprocess import PostprocessSettings, measure, separate
from regdata.cellvit.seams import SeamResolver, TileGrid
from regdata.cellvit.weights import Model
from regdata.progress import Progress, silent
from regdata.slide import Slide

_WINDOW = 256  # pixels a side that the encoder sees together; tiles are whole windows


@dataclass(frozen=True)
class SegmentSettings:
    """How a slide is cut and its maps are read.

    Attributes
    ----------
    tile, overlap
        Side of a tile and pixels shared by neighbours, at the network's resolution.
    min_tissue
        Tiles with less than this share of tissue are skipped.
    """

    tile: int = 1024
    overlap: int = 64
    min_tissue: float = 0.005
    postprocess: PostprocessSettings = field(default_factory=PostprocessSettings)


@dataclass(frozen=True)
class _Plan:
    """The tiles of one slide that will be run."""

    slide: Slide
    grid: TileGrid
    downsample: float
    rows: dict[int, list[int]]

    def read(self, row: int, column: int) -> NDArray[np.uint8]:
        x, y = self.grid.corner(row, column)
        corner = (x * self.downsample, y * self.downsample)
        return self.slide.read_rgb(corner, (self.grid.tile, self.grid.tile), self.downsample)


def segment(
    slide: Slide,
    model: Model,
    tissue: NDArray[np.bool_] | None = None,
    settings: SegmentSettings | None = None,
    progress: Progress = silent,
) -> Iterator[CellTable]:
    """Find the nuclei of a slide.

    Parameters
    ----------
    slide
        H&E with a pixel size; read at the network's resolution.
    tissue
        (h, w) mask over the whole slide at any resolution; everywhere by default.
    progress
        Told the share done.

    Yields
    ------
    CellTable
        Cells that are settled, in level-0 pixels; every nucleus once, by rows of tiles.
    """
    settings = settings or SegmentSettings()
    plan = _plan(slide, model.config.mpp / slide.known_mpp("--he-mpp"), tissue, settings)
    width = model.config.embed_dim
    total = max(1, sum(len(columns) for columns in plan.rows.values()))
    done = 0
    seams = SeamResolver(plan.grid, width)
    for row in range(plan.grid.shape[0]):
        for column, rgb in _read_ahead(plan, row):
            cells = _detect(model, rgb, settings.postprocess)
            cells = cells.scale(1.0, plan.grid.corner(row, column))
            yield _to_slide(seams.add(cells, row, column), plan)
            done += 1
            progress(done / total)
        yield _to_slide(seams.finish_row(row), plan)
    progress(1.0)


def segment_image(slide: Slide, model: Model, settings: SegmentSettings | None = None) -> CellTable:
    """All nuclei of a slide that is small enough to keep them in memory, in level-0 pixels."""
    return concatenate(list(segment(slide, model, settings=settings)), model.config.embed_dim)


def _plan(
    slide: Slide, downsample: float, tissue: NDArray[np.bool_] | None, settings: SegmentSettings
) -> _Plan:
    # a scanner's 0.2501 is 0.25: resampling would blur and gain nothing
    if abs(downsample - 1) < 0.02:
        downsample = 1.0
    size = (round(slide.size[0] / downsample), round(slide.size[1] / downsample))
    grid = _grid((max(1, size[0]), max(1, size[1])), settings)
    rows, columns = grid.shape
    kept = {
        row: [c for c in range(columns) if _has_tissue(tissue, grid, (row, c), settings.min_tissue)]
        for row in range(rows)
    }
    return _Plan(slide, grid, downsample, kept)


def _grid(size: tuple[int, int], settings: SegmentSettings) -> TileGrid:
    """The tiles of a slide; an image that fits into one tile is one, no bigger than needed."""
    needed = -(-max(size) // _WINDOW) * _WINDOW
    if needed <= settings.tile:
        return TileGrid(size, needed, 0)
    return TileGrid(size, settings.tile, settings.overlap)


def _has_tissue(
    tissue: NDArray[np.bool_] | None, grid: TileGrid, at: tuple[int, int], share: float
) -> bool:
    if tissue is None:
        return True
    x, y = grid.corner(*at)
    scale_x, scale_y = (n / side for n, side in zip(tissue.shape[::-1], grid.size, strict=True))
    rows = slice(max(0, int(y * scale_y)), int(np.ceil((y + grid.tile) * scale_y)))
    columns = slice(max(0, int(x * scale_x)), int(np.ceil((x + grid.tile) * scale_x)))
    return float(tissue[rows, columns].mean()) > share


def _read_ahead(plan: _Plan, row: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The tiles of a row, the next one being read while this one is worked on."""
    columns = plan.rows[row]
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(plan.read, row, column) for column in columns[:1]]
        for i, column in enumerate(columns):
            tile = ahead.pop().result()
            if i + 1 < len(columns):
                ahead.append(pool.submit(plan.read, row, columns[i + 1]))
            yield column, tile


def _detect(model: Model, rgb: NDArray[np.uint8], settings: PostprocessSettings) -> CellTable:
    maps = predict(model, rgb)
    instances = separate(maps.nucleus, maps.hv, settings)
    return measure(instances, maps, model.config.mpp, settings.min_area)


def _to_slide(cells: CellTable, plan: _Plan) -> CellTable:
    """From pixels at the network's resolution to level-0 pixels; flags cells cut by the edge."""
    cells = cells.scale(plan.downsample, (0.0, 0.0))
    if len(cells) == 0:
        return cells
    starts = cells.offsets[:-1]
    low = np.minimum.reduceat(cells.vertices, starts)
    high = np.maximum.reduceat(cells.vertices, starts)
    limit = np.array(plan.slide.size) - 1.5 * plan.downsample
    cut = (low < 1.5 * plan.downsample).any(1) | (high > limit).any(1)
    inside = np.all((cells.xy >= 0) & (cells.xy <= np.array(plan.slide.size)), axis=1)
    return replace(cells, flags=np.where(cut, EDGE, 0).astype(np.uint8)).take(inside)
