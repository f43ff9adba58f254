"""A picture of some of many images: what was stained, and what became of the nuclei there."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.chain.mask_slide import Mask
from regdata.report import caption, draw_cells, mark_mask, write_png
from regdata.slides import Slide

_COLUMNS, _ROWS, _TILE = 3, 2, 480  # of a sheet of images; pixels


class Sheet:
    """One picture of some of many images: of each sixth of them the one with most positives.

    Parameters
    ----------
    count
        Number of images.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._best: dict[int, tuple[int, NDArray[np.uint8]]] = {}

    def offer(
        self, number: int, he: Slide, mask: Mask, cells: CellTable, labels: NDArray[np.int64]
    ) -> None:
        """Show an image, if it has more positives than the one shown of its sixth.

        Parameters
        ----------
        number
            Counts the images from 0.
        labels
            (N,) 0 negative, above it a class, -1 unknown.
        """
        place = number * _COLUMNS * _ROWS // self._count
        positives = int((labels > 0).sum())
        if place in self._best and self._best[place][0] >= positives:
            return
        corner = (float((he.size[0] - _TILE) // 2), float((he.size[1] - _TILE) // 2))
        size = (_TILE, _TILE)
        picture = mark_mask(he.read_rgb(corner, size), mask.stained(corner, size))
        self._best[place] = positives, draw_cells(picture, cells, labels, corner, 1.0)

    def write(self, path: Path) -> None:
        """Write what was shown as PNG."""
        blank = np.full((_TILE, _TILE, 3), 255, np.uint8)
        tiles = [self._best[place][1] for place in sorted(self._best)]
        width = min(len(tiles), _COLUMNS)
        tiles += [blank] * (-len(tiles) % width)
        rows = [np.hstack(tiles[k : k + width]) for k in range(0, len(tiles), width)]
        text = "centres of images: mask (yellow), nuclei by label (grey: negative, black: unknown)"
        write_png(path, caption(np.vstack(rows), text))
