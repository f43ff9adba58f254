"""Cells as the result files of CellViT describe them (Hörst et al., 2024).

Conventions of these files: boxes are [row, column], the end excluded; centroids and contours are
[x, y]; all count level-0 pixels by index, so that 0 is the centre of the first pixel. What depends
on tiles follows from the geometry: a cell belongs to the tile whose core its centroid lies in.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Ints
from regdata.cells import CellTable
from regdata.cellvit.tiles import TileGrid

_STATUS = np.array([[1, 2, 3], [8, 0, 4], [7, 6, 5]])  # [above, within, below][left, within, right]
_NEIGHBOURS: dict[
    tuple[int, ...], list[tuple[int, int]]
] = {  # top, right, bottom, left side touched -> (row, column) steps to the neighbours
    (1, 0, 0, 0): [(-1, 0)],
    (0, 1, 0, 0): [(0, 1)],
    (0, 0, 1, 0): [(1, 0)],
    (0, 0, 0, 1): [(0, -1)],
    (1, 1, 0, 0): [(-1, 0), (-1, 1), (0, 1)],
    (0, 1, 1, 0): [(0, 1), (1, 1), (1, 0)],
    (0, 0, 1, 1): [(1, 0), (1, -1), (0, -1)],
    (1, 0, 0, 1): [(0, -1), (-1, -1), (-1, 0)],
}


@dataclass(frozen=True)
class SlideFacts:
    """What the files say of a slide and how it was cut.

    Attributes
    ----------
    size
        (w, h) of level 0, pixels.
    mpp
        µm per level-0 pixel.
    mpp_used
        µm per pixel of a tile; equal to `mpp` when the slide was read as it is.
    magnification
        Of the objective; by default what is usual for `mpp`.
    tile, overlap
        Side of a tile and pixels shared by neighbours, at `mpp_used`.
    """

    size: tuple[int, int]
    mpp: float
    mpp_used: float
    magnification: float | None = None
    tile: int = 1024
    overlap: int = 64

    @property
    def scale(self) -> float:
        """Level-0 pixels per pixel of a tile."""
        return self.mpp_used / self.mpp

    @property
    def grid(self) -> TileGrid:
        """The tiles."""
        width, height = (max(1, round(side / self.scale)) for side in self.size)
        return TileGrid((width, height), self.tile, self.overlap)

    def metadata(self) -> dict[str, Any]:
        """The `wsi_metadata` of the files."""
        rows, columns = self.grid.shape
        base = float(round(10 / self.mpp)) if self.magnification is None else self.magnification
        downsampling = max(1, round(self.scale))
        return {
            "orig_n_tiles_cols": columns,
            "orig_n_tiles_rows": rows,
            "base_magnification": base,
            "downsampling": downsampling,
            "label_map": {"background": 0},
            "patch_overlap": self.overlap,
            "patch_size": self.tile,
            "base_mpp": self.mpp,
            "target_patch_mpp": self.mpp_used,
            "stain_normalization": False,
            "magnification": round(base / self.scale, 4),
            # of a Deep Zoom pyramid, whose level 0 is one pixel
            "level": math.ceil(math.log2(max(self.size))) + 1 - downsampling.bit_length(),
        }


def compact_json(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def centroids(cells: CellTable) -> NDArray[np.float64]:
    """(N, 2) float64 (x, y): whole level-0 pixel indices."""
    rounded: NDArray[np.float64] = np.rint(cells.xy - 0.5)
    return rounded


def cell_records(cells: CellTable, facts: SlideFacts) -> Iterator[tuple[str, str]]:
    """JSON of each cell for `cells.json` and for `cell_detection.json`.

    Parameters
    ----------
    cells
        In level-0 pixels, corner origin, each with a contour.
    facts
        Of their slide.

    Yields
    ------
    full, short
        The short one has only bbox, centroid and type.
    """
    contours = _indices(cells, 1.0)
    boxes = _boxes(contours, cells.offsets).tolist()
    centres = centroids(cells).tolist()
    kinds = cells.kind.tolist()
    shares = np.round(cells.kind_probability.astype(np.float64), 6).tolist()
    for i, place in enumerate(_places(cells, facts)):
        contour = contours[cells.offsets[i] : cells.offsets[i + 1]].tolist()
        short = {"bbox": boxes[i], "centroid": centres[i]}
        rest = {"contour": contour, "type_prob": shares[i], "type": kinds[i]}
        yield (
            compact_json({**short, **rest, **place}),
            compact_json({**short, "type": kinds[i]}),
        )


def _indices(cells: CellTable, scale: float) -> Ints:
    """Contours as whole pixel indices (x, y) of an image `scale` times smaller."""
    return np.rint(cells.vertices.astype(np.float64) / scale - 0.5).astype(np.int64)


def _boxes(contours: Ints, offsets: Ints) -> Ints:
    """[[first row, first column], [end row, end column]] of each contour, (N, 2, 2)."""
    if len(offsets) == 1:
        return np.zeros((0, 2, 2), np.int64)
    low = np.minimum.reduceat(contours, offsets[:-1])
    high = np.maximum.reduceat(contours, offsets[:-1])
    return np.stack([low, high + 1], axis=1)[:, :, ::-1]


def _places(cells: CellTable, facts: SlideFacts) -> Iterator[dict[str, Any]]:
    """What a record says of the cell's tile, whose pixels are those at `mpp_used`."""
    grid = facts.grid
    last = np.array(grid.shape) - 1
    tiles = np.clip((cells.xy[:, ::-1] / facts.scale // grid.stride).astype(np.int64), 0, last)
    corners = tiles * grid.stride - grid.overlap // 2
    boxes = _boxes(_indices(cells, facts.scale), cells.offsets) - corners[:, None]
    first, end = boxes[:, 0], boxes[:, 1]
    inner = facts.tile - facts.overlap
    side = np.where(first < facts.overlap, 0, np.where(end > inner, 2, 1))
    status = _STATUS[side[:, 0], side[:, 1]]
    low, high = first <= 0, end >= facts.tile
    touched = np.stack([low[:, 0], high[:, 1], high[:, 0], low[:, 1]], axis=1)
    edges = np.any(touched, axis=1).tolist()
    for i in range(len(cells)):
        place: dict[str, Any] = {
            "patch_coordinates": tiles[i].tolist(),
            "cell_status": int(status[i]),
            "offset_global": corners[i].tolist(),
            "edge_position": edges[i],
        }
        if edges[i]:
            place["edge_information"] = _edge(tiles[i].tolist(), touched[i].astype(int).tolist())
        yield place


def _edge(tile: list[int], touched: list[int]) -> dict[str, Any]:
    """The touched sides and the neighbouring tiles there; none for opposite or three sides."""
    steps = _NEIGHBOURS.get(tuple(touched))
    around = None if steps is None else [[tile[0] + r, tile[1] + c] for r, c in steps]
    return {"position": touched, "edge_patches": around}
