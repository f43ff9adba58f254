"""The one cell table: arrays of equal length, no object per cell."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """Nuclei of one image or slide.

    Attributes
    ----------
    xy
        (N, 2) float64, centroids, level-0 pixels, corner origin.
    vertices
        (V, 2) float32, contour points of all cells in a row, level-0 pixels; a contour runs
        through the centres of the nucleus's border pixels and is not closed.
    offsets
        (N + 1,) int64; cell i owns vertices[offsets[i]:offsets[i + 1]].
    tokens
        (N, D) float16, mean token of the last ViT block over the nucleus.
    kind
        (N,) uint8, index into the model's class names.
    kind_probability
        (N,) float32, mean probability of that class over the nucleus.
    probability
        (N,) float32, mean nucleus probability.
    area_um2
        (N,) float32.
    flags
        (N,) uint8, sums of `EDGE`, `OUTSIDE_IF`, `BLURRED`, `FOLD` and `PEN`.
    """

    xy: NDArray[np.float64]
    vertices: NDArray[np.float32]
    offsets: NDArray[np.int64]
    tokens: NDArray[np.float16]
    kind: NDArray[np.uint8]
    kind_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    area_um2: NDArray[np.float32]
    flags: NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.xy)

    @classmethod
    def empty(cls, token_width: int) -> "CellTable":
        """A table without cells."""
        return cls(
            xy=np.zeros((0, 2)),
            vertices=np.zeros((0, 2), np.float32),
            offsets=np.zeros(1, np.int64),
            tokens=np.zeros((0, token_width), np.float16),
            kind=np.zeros(0, np.uint8),
            kind_probability=np.zeros(0, np.float32),
            probability=np.zeros(0, np.float32),
            area_um2=np.zeros(0, np.float32),
            flags=np.zeros(0, np.uint8),
        )

    def contour(self, i: int) -> NDArray[np.float32]:
        """(n, 2) float32 contour of cell i, level-0 pixels."""
        return self.vertices[self.offsets[i] : self.offsets[i + 1]]

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> "CellTable":
        """The cells that a mask, (N,) bool, or an index, (n,) int64, names, in that order."""
        index = np.flatnonzero(keep) if keep.dtype == np.bool_ else keep
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        vertices = self.vertices[np.repeat(self.offsets[:-1][index], lengths) + within]
        rest: dict[str, Any] = {name: getattr(self, name)[index] for name in _PER_CELL}
        return replace(self, vertices=vertices, offsets=offsets, **rest)

    def scale(self, factor: float, shift: tuple[float, float]) -> "CellTable":
        """Map positions as xy * factor + shift; areas and tokens stay."""
        move = np.asarray(shift)
        vertices = (self.vertices * factor + move).astype(np.float32)
        return replace(self, xy=self.xy * factor + move, vertices=vertices)


EDGE = 1
"""Flag: the nucleus touches the edge of the slide, so part of it is missing."""
OUTSIDE_IF = 2
"""Flag: the nucleus lies where the immunofluorescence slide shows nothing; it has no label."""
BLURRED, FOLD, PEN = 4, 8, 16
"""Flags: the tile of the nucleus is out of focus, folded, or under a pen mark."""
FLAGS = {"edge": EDGE, "outside_if": OUTSIDE_IF, "blurred": BLURRED, "fold": FOLD, "pen": PEN}

_PER_CELL = tuple(f.name for f in fields(CellTable) if f.name not in ("vertices", "offsets"))


def concatenate(tables: Sequence[CellTable], token_width: int) -> CellTable:
    """One table of all cells, in order."""
    tables = [CellTable.empty(token_width), *tables]
    starts = np.cumsum([0, *(len(table.vertices) for table in tables)])
    offsets = [t.offsets[:-1] + s for t, s in zip(tables, starts[:-1], strict=True)]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in (*_PER_CELL, "vertices")
    }
    return CellTable(offsets=np.concatenate([*offsets, starts[-1:]]), **joined)
