"""What of a slide is run, tile by tile, and at which resolution."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.cellvit.networks import CellViTConfig
from regdata.cellvit.tiles.seams import TileGrid
from regdata.errors import RegdataError
from regdata.slides import Box, Slide

Place = tuple[int, int]
"""Row and column of a tile."""
_NATIVE = 0.2  # a 0.25 µm/px network takes 0.20 to 0.30 as it is, as the published ones do
_COARSEST = 3.0  # times the network's pixel; nuclei are a few pixels wide beyond


@dataclass(frozen=True)
class Plan:
    """The tiles of one slide that are run.

    Attributes
    ----------
    downsample
        Level-0 pixels per pixel of the tiles.
    mpp
        Micrometres per pixel of the tiles.
    tiles
        Row by row.
    """

    slide: Slide
    grid: TileGrid
    downsample: float
    mpp: float
    tiles: tuple[Place, ...]

    def read(self, place: Place) -> NDArray[np.uint8]:
        """(tile, tile, 3) pixels of a tile, white beyond the slide."""
        x, y = self.grid.corner(*place)
        corner = (x * self.downsample, y * self.downsample)
        return self.slide.read_rgb(corner, (self.grid.tile, self.grid.tile), self.downsample)

    def box(self, place: Place) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a tile in level-0 pixels."""
        x, y = (side * self.downsample for side in self.grid.corner(*place))
        side = self.grid.tile * self.downsample
        return x, y, x + side, y + side


@dataclass(frozen=True)
class Tiling:
    """How a slide is cut.

    Attributes
    ----------
    tile, overlap
        Side of a tile and pixels shared by neighbours, at the network's resolution; the
        network's own by default.
    min_tissue
        Tiles with less than this share of tissue are skipped.
    native
        Whether a slide (or a level of it) of nearly the network's pixel size is read as it is;
        otherwise it is resampled to exactly that.
    region
        Run only what this box of level-0 pixels shows.
    """

    tile: int | None = None
    overlap: int | None = None
    min_tissue: float = 0.005
    native: bool = True
    region: Box | None = None


def make_plan(
    slide: Slide, config: CellViTConfig, tissue: NDArray[np.bool_] | None, tiling: Tiling
) -> Plan:
    """Choose resolution and tiles.

    Parameters
    ----------
    tissue
        (h, w) mask over the whole slide at any resolution; everywhere by default.

    Raises
    ------
    RegdataError
        The slide has no pixel size or is too coarse, or the region lies outside.
    """
    mpp = slide.known_mpp("he_mpp")
    if mpp > _COARSEST * config.mpp:
        raise RegdataError(
            f"expected a slide of at most {_COARSEST * config.mpp:.2f} µm per pixel for "
            f"{config.name} (made for {config.mpp}), {slide.path} has {mpp:.3g}; scan it finer, "
            "or pass the true pixel size with `he_mpp=`"
        )
    downsample = _choose_downsample(mpp, slide.downsamples, config.mpp, tiling.native)
    size = (max(1, round(side / downsample)) for side in slide.size)
    width, height = size
    grid = _grid((width, height), config, tiling)
    box = _region(slide, tiling.region)
    rows, columns = grid.shape
    plan = Plan(slide, grid, downsample, mpp * downsample, ())
    places = [(row, column) for row in range(rows) for column in range(columns)]
    wanted = [place for place in places if _meets(plan.box(place), box)]
    kept = [p for p in wanted if _has_tissue(tissue, plan.box(p), slide.size, tiling.min_tissue)]
    return Plan(slide, grid, downsample, mpp * downsample, tuple(kept))


def _choose_downsample(
    mpp: float, downsamples: tuple[float, ...], wanted: float, native: bool
) -> float:
    """Level-0 pixels per pixel of the tiles.

    Parameters
    ----------
    mpp, wanted
        µm per pixel of level 0 and of the network.
    downsamples
        Of the slide's levels.
    native
        Take a level as it is when its pixel is within 20 % of the wanted one.

    Examples
    --------
    >>> _choose_downsample(0.22, (1.0, 4.0), 0.25, native=True)
    1.0
    >>> _choose_downsample(0.125, (1.0, 2.0), 0.25, native=True)
    2.0
    >>> _choose_downsample(0.5, (1.0, 4.0), 0.25, native=True)
    0.5
    """
    # a scanner's 0.2501 is 0.25: resampling would blur and gain nothing
    reach = _NATIVE if native else 0.02
    off = {d: abs(math.log(mpp * d / wanted)) for d in downsamples}
    fits = [d for d in off if abs(mpp * d / wanted - 1) < reach + 1e-6]
    return min(fits, key=lambda d: off[d]) if fits else wanted / mpp


def _grid(size: tuple[int, int], config: CellViTConfig, tiling: Tiling) -> TileGrid:
    """The tiles of a slide; an image that fits into one tile is one, no bigger than needed."""
    tile = tiling.tile or config.tile
    needed = -(-max(size) // config.window) * config.window
    if needed <= tile:
        return TileGrid(size, needed, 0)
    return TileGrid(size, tile, config.overlap if tiling.overlap is None else tiling.overlap)


def _region(slide: Slide, region: Box | None) -> tuple[float, float, float, float]:
    width, height = slide.size
    if region is None:
        return 0, 0, width, height
    if region.x >= width or region.y >= height:
        raise RegdataError(
            f"expected a region inside {slide.path} ({width} x {height} px), got one that begins "
            f"at {region.x},{region.y}"
        )
    return region.x, region.y, region.x + region.w, region.y + region.h


def _meets(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _has_tissue(
    tissue: NDArray[np.bool_] | None,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    share: float,
) -> bool:
    """Whether more than a share of a box shows tissue; `size` is that of the slide, level 0."""
    if tissue is None:
        return True
    scale_x, scale_y = (n / side for n, side in zip(tissue.shape[::-1], size, strict=True))
    left, top, right, bottom = box
    rows = slice(max(0, int(top * scale_y)), math.ceil(bottom * scale_y))
    columns = slice(max(0, int(left * scale_x)), math.ceil(right * scale_x))
    return float(tissue[rows, columns].mean()) > share
