"""What can be measured of a transform tile by tile, in one pass over the tissue of the slides.

Conventions
-----------
Tiles lie on a square grid from the corner of the H&E slide, row by row; those of the last column
and row may reach over its edge. Points are (x, y), µm.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools, Floats
from regdata.errors import RegdataError
from regdata.files import Progress, silent
from regdata.registration.pose import fisher_z
from regdata.registration.quality.planes import Piece, Planes, open_planes
from regdata.registration.quality.residual import NOTHING, Residual, correlations, peak
from regdata.slides import Box, Slide, he_tissue
from regdata.transforms import Transform

_REACH_UM = 10.0
"""Largest shift that is looked for; what lies further is the null."""
_NULL_UM = (12.0, 16.0, 20.0)  # shifts of the null, each in eight directions
_AROUND_UM = 22.0  # read around a tile, for the shifts
_AT_ONCE = 8  # tiles of a row read together
_PROBES = 5  # points a side of a tile at which the derivative is taken
LEAST_TISSUE = 0.05
"""Share of a tile; with less it is not looked at."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a slide.

    Attributes
    ----------
    tile_um
        Side of a tile.
    columns, rows
        How many there are.
    """

    tile_um: float
    columns: int
    rows: int

    @classmethod
    def over(cls, he: Slide, tile_um: float) -> "Grid":
        """The grid of tiles that covers an H&E slide."""
        if not 16 <= tile_um <= 1000:
            raise RegdataError(f"expected tiles of 16 to 1000 µm, got {tile_um:g}")
        mpp = he.known_mpp("he_mpp")
        columns, rows = (max(1, math.ceil(side * mpp / tile_um - 1e-6)) for side in he.size)
        return cls(tile_um, columns, rows)

    @property
    def centres_um(self) -> Floats:
        """Centres of the tiles, (N, 2) µm on the H&E slide, row by row."""
        row, column = np.indices((self.rows, self.columns)).reshape(2, -1)
        return np.stack([column + 0.5, row + 0.5], 1) * self.tile_um


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Measured values of all N tiles.

    Attributes
    ----------
    tissue
        Share of tissue.
    nuclei, signal
        Standard deviation of the hematoxylin and of the DAPI detail.
    at_zero, at_peak
        Correlation as it is, and at the best shift.
    null_z
        Standard deviations by which the correlation as it is lies above that at shifts of 12 to
        20 µm.
    shift_um
        (N, 2), the best shift.
    sd_um
        Its predicted standard deviation along an axis; infinite where there is nothing to compare.
    confidence
        Chance that it is the right one.
    jacobian_min, jacobian_max
        Area change over that of the whole slide.
    """

    tissue: Floats
    nuclei: Floats
    signal: Floats
    at_zero: Floats
    at_peak: Floats
    null_z: Floats
    shift_um: Floats
    sd_um: Floats
    confidence: Floats
    jacobian_min: Floats
    jacobian_max: Floats


@dataclass(frozen=True)
class _Looked:
    """What is measured in one tile."""

    residual: Residual
    null_z: float
    nuclei: float
    signal: float


_UNSEEN = _Looked(NOTHING, 0.0, 0.0, 0.0)


def measure(
    he: Slide,
    if_: Slide,
    dapi: int,
    he_to_if: Transform,
    grid: Grid,
    progress: Progress = silent,
) -> Measures:
    """Measured values of all tiles; those without tissue are not read."""
    tissue = he_tissue(he)
    share = _share(tissue, grid, np.array(he.size) * he.known_mpp("he_mpp"))
    planes = open_planes(he, if_, dapi, he_to_if, tissue)
    wanted = (share >= LEAST_TISSUE).reshape(grid.rows, grid.columns)
    looked: dict[int, _Looked] = {}
    for row in range(grid.rows):
        for first, last in _runs(wanted[row]):
            for column, tile in _tiles(planes, grid, row, range(first, last)):
                looked[row * grid.columns + column] = tile
        progress((row + 1) / grid.rows)
    tiles = [looked.get(index, _UNSEEN) for index in range(len(share))]
    least, most = _area_change(he_to_if, grid, share >= LEAST_TISSUE)
    return Measures(
        tissue=share,
        nuclei=np.array([tile.nuclei for tile in tiles]),
        signal=np.array([tile.signal for tile in tiles]),
        at_zero=np.array([tile.residual.at_zero for tile in tiles]),
        at_peak=np.array([tile.residual.at_peak for tile in tiles]),
        null_z=np.array([tile.null_z for tile in tiles]),
        shift_um=np.array([tile.residual.shift_um for tile in tiles]),
        sd_um=np.array([tile.residual.sd_um for tile in tiles]),
        confidence=np.array([tile.residual.confidence for tile in tiles]),
        jacobian_min=least,
        jacobian_max=most,
    )


def _runs(wanted: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and one past the last of neighbouring tiles that are read at once."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        for start in range(first, last, _AT_ONCE):
            yield start, min(last, start + _AT_ONCE)


def _tiles(planes: Planes, grid: Grid, row: int, columns: range) -> Iterator[tuple[int, _Looked]]:
    """Look at neighbouring tiles of a row."""
    mpp = planes.mpp
    margin = math.ceil(_AROUND_UM / mpp)
    left, right = (round(k * grid.tile_um / mpp) for k in (columns.start, columns.stop))
    top, bottom = (round(k * grid.tile_um / mpp) for k in (row, row + 1))
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    piece = planes.read(Box(left - margin, top - margin, *size))
    for column in columns:
        start = round(column * grid.tile_um / mpp) - left
        stop = round((column + 1) * grid.tile_um / mpp) - left
        yield column, _look(piece, slice(start, stop + 2 * margin), margin, mpp)


def _look(piece: Piece, across: slice, margin: int, mpp: float) -> _Looked:
    """Measure the tile inside the margin of a part of a piece."""
    inner = slice(margin, -margin)
    fixed, moving = piece.fixed[:, across], piece.moving[:, across]
    tile = np.full_like(fixed, np.nan)
    tile[inner, inner] = fixed[inner, inner]
    spreads = [_spread(plane[inner, inner]) for plane in (fixed, moving)]
    if min(spreads) == 0:
        return _Looked(NOTHING, 0.0, *spreads)
    surface = correlations(tile, moving, mpp, max(_NULL_UM))
    residual = peak(surface.within(_REACH_UM))
    null = fisher_z(surface.at(_null_shifts()))
    null = null[np.isfinite(null)]
    if len(null) < 8:
        return _Looked(residual, 0.0, *spreads)
    above = float(fisher_z(residual.at_zero) - null.mean()) / max(float(null.std()), 0.02)
    return _Looked(residual, above, *spreads)


def _spread(plane: NDArray[np.float32]) -> float:
    known = plane[np.isfinite(plane)]
    return float(known.std()) if known.size else 0.0


def _null_shifts() -> Floats:
    """(24, 2) µm: eight directions, turned from ring to ring."""
    angle = np.arange(24) * np.pi / 4 + np.repeat([0.0, np.pi / 12, np.pi / 6], 8)
    length = np.repeat(_NULL_UM, 8)
    return np.asarray(np.stack([np.cos(angle), np.sin(angle)], 1) * length[:, None], np.float64)


def _share(tissue: Bools, grid: Grid, size_um: Floats) -> Floats:
    """Share of tissue of every tile, (N,)."""
    per_um = np.array(tissue.shape[::-1]) / size_um
    corner = grid.centres_um - grid.tile_um / 2
    low = np.round(corner * per_um).astype(int)
    high = np.round((corner + grid.tile_um) * per_um).astype(int)
    high = np.maximum(np.minimum(high, tissue.shape[::-1]), low + 1)
    total = cv2.integral(tissue.astype(np.uint8))
    (x0, y0), (x1, y1) = low.T, np.minimum(high, tissue.shape[::-1]).T
    inside = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    whole = (high - low).prod(1)
    return np.asarray(inside / whole, np.float64)


def _area_change(
    he_to_if: Transform, grid: Grid, wanted: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Least and most change of area in every wanted tile, over the median; 1 elsewhere."""
    least, most = np.ones(len(wanted)), np.ones(len(wanted))
    index = np.flatnonzero(wanted)
    if len(index) == 0:
        return least, most
    step = ((np.arange(_PROBES) + 0.5) / _PROBES - 0.5) * grid.tile_um
    probes = np.stack(np.meshgrid(step, step), 2).reshape(-1, 2)
    parts = np.array_split(grid.centres_um[index], -(-len(index) // 4096))
    areas = np.concatenate(
        [np.linalg.det(he_to_if.jacobian(part[:, None] + probes)) for part in parts]
    )
    relative = areas / np.median(areas)
    least[index], most[index] = relative.min(1), relative.max(1)
    return least, most
