"""Tiles that overlap, and one owner for every nucleus they share."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from regdata.cells import CellTable, concatenate

SEAM = 16.0
"""Pixels either side of a seam within which two tiles may both claim a nucleus."""


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
        Pixels shared by neighbouring tiles.
    """

    size: tuple[int, int]
    tile: int = 1024
    overlap: int = 64

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

    def depth(self, xy: NDArray[np.float64], row: int, column: int) -> NDArray[np.float64]:
        """How far points lie inside the tile's core, (N,); negative outside.

        The outer sides of the grid are no seams: a core there reaches to infinity.
        """
        rows, columns = self.shape
        left = -np.inf if column == 0 else column * self.stride
        top = -np.inf if row == 0 else row * self.stride
        right = np.inf if column == columns - 1 else (column + 1) * self.stride
        bottom = np.inf if row == rows - 1 else (row + 1) * self.stride
        inside = [xy[:, 0] - left, right - xy[:, 0], xy[:, 1] - top, bottom - xy[:, 1]]
        depth: NDArray[np.float64] = np.min(inside, axis=0)
        return depth


class SeamResolver:
    """Passes on the cells of tiles, row by row, and lets one tile own each shared nucleus.

    Away from the seams cells pass at once. Near a seam both tiles' cells wait until no further
    tile can claim them; of those that overlap, the one deepest inside its own tile's core stays.
    """

    def __init__(self, grid: TileGrid, token_width: int) -> None:
        self._grid = grid
        self._width = token_width
        self._waiting = CellTable.empty(token_width)
        self._depth = np.zeros(0)

    def add(self, cells: CellTable, row: int, column: int) -> CellTable:
        """Take the cells of one tile (grid pixels); returns those that are settled."""
        depth = self._grid.depth(cells.xy, row, column)
        # twice as far inwards: the neighbour's picture of the same nucleus may lie across the seam
        near = (depth > -SEAM) & (depth <= 2 * SEAM)
        self._waiting = concatenate([self._waiting, cells.take(near)], self._width)
        self._depth = np.concatenate([self._depth, depth[near]])
        return cells.take(depth > 2 * SEAM)

    def finish_row(self, row: int) -> CellTable:
        """Settle what no later row can claim; returns those cells."""
        last = row >= self._grid.shape[0] - 1
        limit = np.inf if last else (row + 1) * self._grid.stride - 2 * SEAM
        winner = winners(self._waiting, self._depth)
        ready = self._waiting.xy[:, 1] < limit
        settled = self._waiting.take(ready & (winner == np.arange(len(winner))))
        # what lost to a settled cell must not come back in the next row
        wait = ~ready & ~ready[winner]
        self._waiting = self._waiting.take(wait)
        self._depth = self._depth[wait]
        return settled


def winners(cells: CellTable, depth: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each cell the cell that stays in its place: itself, or a deeper one that overlaps it.

    Parameters
    ----------
    cells
        Cells of several tiles in common pixels.
    depth
        (N,) how far each lies inside its own tile's core.
    """
    winner = np.arange(len(cells))
    order = np.argsort(-depth, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    pairs = [(a, b) if rank[a] < rank[b] else (b, a) for a, b in _overlapping(cells)]
    for keep, drop in sorted(pairs, key=lambda pair: (rank[pair[0]], rank[pair[1]])):
        if winner[keep] == keep and winner[drop] == drop:
            winner[drop] = keep
    return winner


def _overlapping(cells: CellTable) -> Iterator[tuple[int, int]]:
    """Pairs of cells of which one covers more than 30 % of the other."""
    if len(cells) < 2:
        return
    boxes = [cells.contour(i) for i in range(len(cells))]
    low = np.array([box.min(0) for box in boxes])
    high = np.array([box.max(0) for box in boxes])
    reach = float((high - low).max())
    for a, b in sorted(cKDTree(cells.xy).query_pairs(reach)):
        if (low[a] <= high[b]).all() and (low[b] <= high[a]).all():
            corner = np.floor(np.minimum(low[a], low[b]))
            size = np.ceil(np.maximum(high[a], high[b]) - corner).astype(int) + 1
            first, second = (_fill(boxes[k] - corner, size) for k in (a, b))
            shared = int((first & second).sum())
            if shared > 0.3 * min(int(first.sum()), int(second.sum())):
                yield a, b


def _fill(contour: NDArray[np.float32], size: NDArray[np.int64]) -> NDArray[np.uint8]:
    canvas = np.zeros((size[1], size[0]), np.uint8)
    # contours run through pixel centres: index = point - 0.5
    return cv2.fillPoly(canvas, [np.round(contour - 0.5).astype(np.int32)], 1).astype(np.uint8)
