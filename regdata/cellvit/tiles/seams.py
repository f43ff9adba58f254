"""Tiles that overlap, and one owner for every nucleus they share.

The rule
--------
Masks of different tiles that cover more than 30 % of the smaller one show the same nucleus; masks
linked so form a group. Of each group one tile's masks stay, all of them, so that a nucleus that one
tile found whole and the other in two parts appears whole or in two parts, never in both ways:

1. a tile that cut none of its masks in the group comes before one that did (a mask is cut when it
   touches a side of its tile behind which there is another tile);
2. among tiles that cut none, the one in whose core the masks lie deepest (mean over their area);
3. among tiles that all cut some, the one that shows the largest area.

Masks of the other tiles that overlap none of those that stay are judged again among themselves.
What a tile found in the core of another that did not find it stays if it is whole and lies at most
`SEAM` pixels in there; else the other, which saw more around it, is believed. If that tile was
never run, it stays anyway.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools, Ints
from regdata.cells import CellTable, concatenate
from regdata.cellvit.tiles.overlap import overlapping
from regdata.cellvit.tiles.owners import Claims, any_of_group, choose, linked
from regdata.errors import RegdataError

SEAM = 16.0
"""Pixels beyond its core within which a tile is trusted with what no other tile found."""

Corners = NDArray[np.float32]


@dataclass(frozen=True)
class TileGrid:
    """Square tiles over a slide at the network's resolution.

    Tile (row, column) covers pixels from column * stride - margin, row * stride - margin; its
    core is the middle `stride` pixels, and the cores tile the slide.

    Attributes
    ----------
    size
        (w, h) of the slide in pixels at the network's resolution.
    tile
        Side of a tile.
    overlap
        Pixels shared by neighbouring tiles, at most half a tile. A nucleus up to this wide and
        high is seen whole by some tile.
    """

    size: tuple[int, int]
    tile: int = 1024
    overlap: int = 64

    def __post_init__(self) -> None:
        """Refuse tiles that overlap more than their neighbours."""
        if not 0 <= 2 * self.overlap <= self.tile:
            raise RegdataError(
                f"expected an overlap from 0 to half a tile ({self.tile // 2} px), got "
                f"{self.overlap}; choose a smaller overlap or a larger tile"
            )

    @property
    def stride(self) -> int:
        """Side of a core."""
        return self.tile - self.overlap

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        width, height = self.size
        return -(-height // self.stride), -(-width // self.stride)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """(x, y) of a tile's top-left corner; negative in the first row and column."""
        margin = self.overlap // 2
        return column * self.stride - margin, row * self.stride - margin

    def sides(self, row: int, column: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Low and high (x, y) of a tile; infinite where no other tile lies behind the side."""
        corner = np.array(self.corner(row, column), np.float64)
        place, last = np.array([column, row]), np.array(self.shape[::-1]) - 1
        low = np.where(place <= 0, -np.inf, corner)
        return low, np.where(place >= last, np.inf, corner + self.tile)

    def depth(self, xy: NDArray[np.float64], row: int, column: int) -> NDArray[np.float64]:
        """(N,) how far points lie inside the tile's core, pixels; negative outside.

        The outer sides of the grid are no seams: a core there reaches to infinity.

        Parameters
        ----------
        xy
            (N, 2) float64, pixels of the grid.
        """
        rows, columns = self.shape
        left = -np.inf if column == 0 else column * self.stride
        top = -np.inf if row == 0 else row * self.stride
        right = np.inf if column == columns - 1 else (column + 1) * self.stride
        bottom = np.inf if row == rows - 1 else (row + 1) * self.stride
        inside = [xy[:, 0] - left, right - xy[:, 0], xy[:, 1] - top, bottom - xy[:, 1]]
        depth: NDArray[np.float64] = np.min(inside, axis=0)
        return depth

    def home(self, xy: NDArray[np.float64]) -> Ints:
        """(N,) number of the tile, row * columns + column, in whose core each point lies.

        Parameters
        ----------
        xy
            (N, 2) float64, pixels of the grid.
        """
        rows, columns = self.shape
        place = np.clip(xy // self.stride, 0, [columns - 1, rows - 1]).astype(np.int64)
        home: Ints = place[:, 1] * columns + place[:, 0]
        return home


@dataclass(frozen=True)
class _Views:
    """What tiles saw where another tile looks as well: cells in pixels of the grid.

    The arrays are those of `Claims`.
    """

    cells: CellTable
    tile: Ints
    cut: Bools
    depth: NDArray[np.float64]

    def take(self, keep: Bools) -> "_Views":
        """Those that a mask names."""
        return _Views(self.cells.take(keep), self.tile[keep], self.cut[keep], self.depth[keep])


class SeamResolver:
    """Passes on the cells of tiles, row by row, and lets one tile own each shared nucleus.

    Cells that no other tile can see pass at once. The others wait until all tiles that can see
    their group are done, so that about two rows' worth of seams is held, whatever the size of
    the slide. Which cells come out does not depend on the order in which the tiles of a row are
    added.
    """

    def __init__(self, grid: TileGrid, token_width: int) -> None:
        self._grid = grid
        self._width = token_width
        self._waiting: list[_Views] = []
        self._done: list[int] = []

    def add(self, cells: CellTable, row: int, column: int) -> CellTable:
        """Take the cells of one tile (grid pixels); returns those that are settled."""
        grid, number = self._grid, row * self._grid.shape[1] + column
        self._done.append(number)
        if len(cells) == 0:
            return cells
        low, high = contour_boxes(cells)
        start, end = grid.sides(row, column)
        shared = np.any((low < start + grid.overlap) | (high > end - grid.overlap), axis=1)
        # contours run through pixel centres, half a pixel inside the tile where they touch it
        cut = np.any((low < start + 1) | (high > end - 1), axis=1)
        if shared.any():
            tile = np.full(len(cells), number, np.int64)
            views = _Views(cells, tile, cut, grid.depth(cells.xy, row, column))
            self._waiting.append(views.take(shared))
        return cells.take(~shared)

    def finish_row(self, row: int) -> CellTable:
        """Settle what no later row can see; returns those cells."""
        grid, columns = self._grid, self._grid.shape[1]
        views = self._join()
        pairs, area = overlapping(views.cells, views.tile)
        group = linked(pairs, len(area))
        end = grid.sides(row, 0)[1][1] - grid.overlap
        later = any_of_group(group, contour_boxes(views.cells)[1][:, 1] > end)
        home = grid.home(views.cells.xy)
        trusted = (~views.cut & (views.depth > -SEAM)) | np.isin(home, self._done, invert=True)
        claims = Claims(views.tile, home, views.cut, views.depth, area.astype(np.float64), trusted)
        stay = choose(claims, pairs, ~later)
        self._waiting = [views.take(later)] if later.any() else []
        # what the next row asks of goes no further up than this one
        self._done = [number for number in self._done if number >= row * columns]
        return views.cells.take(stay)

    def _join(self) -> _Views:
        """All that wait, in the order of their tiles, whatever the order they were added in."""
        parts = sorted(self._waiting, key=lambda part: int(part.tile[0]))
        return _Views(
            concatenate([part.cells for part in parts], self._width),
            np.concatenate([np.zeros(0, np.int64), *(part.tile for part in parts)]),
            np.concatenate([np.zeros(0, np.bool_), *(part.cut for part in parts)]),
            np.concatenate([np.zeros(0), *(part.depth for part in parts)]),
        )


def contour_boxes(cells: CellTable) -> tuple[Corners, Corners]:
    """Lowest and highest (x, y) of each contour, two (N, 2)."""
    if len(cells) == 0:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    starts = cells.offsets[:-1]
    return np.minimum.reduceat(cells.vertices, starts), np.maximum.reduceat(cells.vertices, starts)
