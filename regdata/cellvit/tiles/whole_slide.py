"""Segmenting a whole slide, tile by tile, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from regdata.cells import BLURRED, EDGE, FOLD, PEN, CellTable, concatenate
from regdata.cellvit.maps import Normalise, PostprocessSettings
from regdata.cellvit.networks import CellViTConfig, Model
from regdata.cellvit.tiles.inference import usual_settings
from regdata.cellvit.tiles.journal import Journal
from regdata.cellvit.tiles.plan import Place, Plan, Tiling, make_plan
from regdata.cellvit.tiles.quality import QualityLimits, TileQuality
from regdata.cellvit.tiles.seams import SeamResolver, contour_boxes
from regdata.cellvit.tiles.stream import Resources, TileCells, detect_tiles
from regdata.files import Progress, give_back, silent
from regdata.slides import Slide

_TRIM_EVERY = 8  # tiles
_FLAGS = {"blurred": BLURRED, "fold": FOLD, "pen": PEN}


@dataclass(frozen=True)
class SegmentSettings:
    """All that a slide's cells depend on besides slide, tissue mask and model.

    Attributes
    ----------
    limits
        Of a tile's quality; cells of worse tiles carry a flag.
    skip_bad
        Leave such tiles out instead.
    postprocess
        How maps become cells; as usual for the network by default.
    normalise
        Another normalisation of the gradients than that has.
    """

    tiling: Tiling = field(default_factory=Tiling)
    limits: QualityLimits = field(default_factory=QualityLimits)
    skip_bad: bool = False
    postprocess: PostprocessSettings | None = None
    normalise: Normalise | None = None

    def reading(self, config: CellViTConfig) -> PostprocessSettings:
        """How the maps of a network become cells."""
        usual = self.postprocess or usual_settings(config)
        return replace(usual, normalise=self.normalise) if self.normalise else usual


@dataclass(frozen=True)
class TileReport:
    """What is kept of a tile besides its cells.

    Attributes
    ----------
    place
        Row and column.
    cells
        Number of its cells, before neighbours were merged.
    skipped
        Left out because of its quality.
    """

    place: Place
    cells: int
    quality: TileQuality
    skipped: bool


class Segmentation:
    """The run over one slide: its plan, its cells in a stream, and then reports of its tiles.

    Parameters
    ----------
    slide
        H&E with a pixel size; read at the network's resolution.
    tissue
        (h, w) mask over the whole slide at any resolution; everywhere by default.
    journal
        Keeps finished tiles, and has those of a run that was broken off.

    Raises
    ------
    RegdataError
        See `make_plan`.
    """

    def __init__(
        self,
        slide: Slide,
        model: Model,
        tissue: NDArray[np.bool_] | None = None,
        settings: SegmentSettings | None = None,
        resources: Resources | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings or SegmentSettings()
        self.plan = make_plan(slide, model.config, tissue, self.settings.tiling)
        self.tiles: list[TileReport] = []
        rows, columns = self.plan.grid.shape
        self._scores = np.full((rows * columns, 3), np.nan, np.float32)
        self._model = model
        self._resources = resources or Resources()
        self._journal = journal

    def cells(self, progress: Progress = silent) -> Iterator[CellTable]:
        """Cells that are settled, in level-0 pixels; every nucleus once, by rows of tiles."""
        grid = self.plan.grid
        seams = SeamResolver(grid, self._model.config.token_width)
        results = self._results()
        done, total = 0, max(1, len(self.plan.tiles))
        for row, places in groupby(self.plan.tiles, key=lambda place: place[0]):
            for place, tile in zip(places, results, strict=False):
                self._note(tile)
                if not tile.skipped:
                    cells = tile.cells.scale(1.0, grid.corner(*place))
                    yield self._to_slide(seams.add(cells, *place))
                done += 1
                progress(done / total)
                if done % _TRIM_EVERY == 0:
                    give_back()
            yield self._to_slide(seams.finish_row(row))
        yield self._to_slide(seams.finish_row(grid.shape[0] - 1))
        progress(1.0)

    def quality_of(self, cells: CellTable) -> NDArray[np.float32]:
        """(N, 3) focus, fold and pen of the tile in whose core each cell lies; NaN if not run."""
        return self._scores[self.plan.grid.home(cells.xy / self.plan.downsample)]

    def _note(self, tile: TileCells) -> None:
        """Keep what is kept of a tile besides its cells."""
        quality, (row, column) = tile.quality, tile.place
        self.tiles.append(TileReport(tile.place, len(tile.cells), quality, tile.skipped))
        number = row * self.plan.grid.shape[1] + column
        self._scores[number] = quality.focus, quality.fold, quality.pen

    def _results(self) -> Iterator[TileCells]:
        """Of every tile of the plan, in order; from the journal what is there."""
        journal = self._journal
        # read once before: a record that went bad on the disk is a tile to be done again
        known = {p for p in journal.tiles if journal.read(*p)} if journal is not None else set()
        todo = replace(self.plan, tiles=tuple(p for p in self.plan.tiles if p not in known))
        limits, skip_bad = self.settings.limits, self.settings.skip_bad
        fresh = detect_tiles(
            todo,
            self._model,
            self.settings.reading(self._model.config),
            self._resources,
            lambda quality: skip_bad and limits.is_bad(quality) is not None,
        )
        for place in self.plan.tiles:
            if journal is not None and place in known:
                yield _recorded(journal, place)
                continue
            tile = self._flagged(next(fresh))
            if journal is not None:
                quality = tile.quality
                scores = {"focus": quality.focus, "fold": quality.fold, "pen": quality.pen}
                journal.append(*place, tile.cells, {**scores, "skipped": float(tile.skipped)})
            yield tile

    def _flagged(self, tile: TileCells) -> TileCells:
        """With the flag of its quality on its cells."""
        bad = self.settings.limits.is_bad(tile.quality)
        if bad is None:
            return tile
        flags = tile.cells.flags | np.uint8(_FLAGS[bad])
        return replace(tile, cells=replace(tile.cells, flags=flags))

    def _to_slide(self, cells: CellTable) -> CellTable:
        """From pixels of the grid to level-0 pixels; flags cells cut by the edge of the slide."""
        plan = self.plan
        cells = cells.scale(plan.downsample, (0.0, 0.0))
        if len(cells) == 0:
            return cells
        low, high = contour_boxes(cells)
        size = np.array(plan.slide.size)
        limit = 1.5 * plan.downsample
        cut = (low < limit).any(1) | (high > size - limit).any(1)
        flags = cells.flags | np.where(cut, EDGE, 0).astype(np.uint8)
        return replace(cells, flags=flags).take(_inside(cells.xy, plan, self.settings))


def _recorded(journal: Journal, place: Place) -> TileCells:
    record = journal.read(*place)
    if record is None:  # it was there when the run began
        raise KeyError(place)
    cells, scores = record
    quality = TileQuality(scores["focus"], scores["fold"], scores["pen"])
    return TileCells(place, cells, quality, skipped=bool(scores["skipped"]))


def _inside(xy: NDArray[np.float64], plan: Plan, settings: SegmentSettings) -> NDArray[np.bool_]:
    """(N,) which points lie on the slide and in the region of the settings."""
    inside: NDArray[np.bool_] = np.all((xy >= 0) & (xy <= np.array(plan.slide.size)), axis=1)
    region = settings.tiling.region
    if region is not None:
        low = np.array([region.x, region.y])
        high = low + np.array([region.w, region.h])
        inside &= np.all((xy >= low) & (xy < high), axis=1)
    return inside


def segment(
    slide: Slide,
    model: Model,
    tissue: NDArray[np.bool_] | None = None,
    settings: SegmentSettings | None = None,
    progress: Progress = silent,
    journal: Journal | None = None,
) -> Iterator[CellTable]:
    """The nuclei of a slide, tile by tile; see `Segmentation`.

    Parameters
    ----------
    tissue
        (h, w) mask over the whole slide at any resolution; everywhere by default.

    Yields
    ------
    CellTable
        Cells that are settled, in level-0 pixels; every nucleus once, by rows of tiles.
    """
    return Segmentation(slide, model, tissue, settings, journal=journal).cells(progress)


def segment_image(
    slide: Slide,
    model: Model,
    settings: SegmentSettings | None = None,
    resources: Resources | None = None,
) -> CellTable:
    """All nuclei of a slide that is small enough to keep them in memory, in level-0 pixels."""
    run = Segmentation(slide, model, settings=settings, resources=resources)
    return concatenate(list(run.cells()), model.config.token_width)
