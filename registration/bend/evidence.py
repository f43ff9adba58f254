"""Evidence of tiles for the displacement, summed in small cells of the H&E.

Conventions
-----------
Each pixel adds a quadratic form: u' W u - 2 b' u, u its displacement in µm, W (2, 2) symmetric.
A cell keeps the sums of W and b of its pixels; within a cell of a few µm the displacement of a
section is as good as constant.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane


@dataclass
class Evidence:
    """Sums over the whole slide, filled tile by tile.

    Attributes
    ----------
    cell_um
        Side of a cell; cell (r, c) begins at `cell_um * (c, r)`.
    sums
        (5, rows, cols) float32: W_xx, W_xy, W_yy, b_x, b_y, times the area of a pixel in µm².
    """

    cell_um: float
    sums: Plane

    @classmethod
    def empty(cls, size_um: NDArray[np.float64], cell_um: float) -> "Evidence":
        """No evidence yet, for a slide of (w, h) µm."""
        columns, rows = np.ceil(size_um / cell_um - 1e-6).astype(int)
        return cls(cell_um, np.zeros((5, rows, columns), np.float32))

    def add(self, terms: Plane, corner: tuple[int, int], per_cell: int) -> None:
        """Add the terms of a tile to the sums.

        Parameters
        ----------
        terms
            (5, h, w) per pixel; the sides are multiples of `per_cell`.
        corner
            (x, y) of the tile in cells.
        per_cell
            Pixels along the side of a cell.
        """
        count, height, width = terms.shape
        rows, columns = height // per_cell, width // per_cell
        blocks = terms.reshape(count, rows, per_cell, columns, per_cell)
        x, y = corner
        there = self.sums[:, y : y + rows, x : x + columns]
        area = np.float32((self.cell_um / per_cell) ** 2)
        there += area * blocks.sum((2, 4))[:, : there.shape[1], : there.shape[2]]

    def coarser(self) -> "Evidence":
        """The same in cells of twice the side."""
        count, height, width = self.sums.shape
        padded = np.pad(self.sums, ((0, 0), (0, height % 2), (0, width % 2)))
        rows, columns = padded.shape[1] // 2, padded.shape[2] // 2
        blocks = padded.reshape(count, rows, 2, columns, 2)
        return Evidence(2 * self.cell_um, blocks.sum((2, 4)))


def isotropic(weight: Plane, displacement_um: Plane) -> Plane:
    """Terms (5, h, w) of pixels whose displacement is equally certain in all directions.

    Parameters
    ----------
    weight
        (h, w), one over the variance, 1 / µm².
    displacement_um
        (h, w, 2), µm.

    Returns
    -------
    array
        (5, h, w) for `Evidence.add`.
    """
    toward = weight[..., None] * displacement_um
    return np.stack([weight, np.zeros_like(weight), weight, toward[..., 0], toward[..., 1]])
