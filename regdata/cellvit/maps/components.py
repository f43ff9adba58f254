"""Connected parts of a mask, joined from its runs: the work grows with the foreground."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class Parts:
    """The 4-connected parts of a mask.

    Attributes
    ----------
    runs
        (R, 3) int32 row, first column, column after the last; row by row.
    label
        (R,) int32, the part each run belongs to, 1..count in the order of their first pixels.
    count
        Number of parts.
    """

    runs: NDArray[np.int32]
    label: NDArray[np.int32]
    count: int

    def area(self) -> NDArray[np.int64]:
        """(count + 1,) pixels of each part; 0 for part 0, which does not exist."""
        length = (self.runs[:, 2] - self.runs[:, 1]).astype(np.float64)
        return np.bincount(self.label, length, self.count + 1).astype(np.int64)

    def numbered(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """(R,) number of each run's part among the kept ones, 1.., and 0 for parts not kept.

        Parameters
        ----------
        keep
            (count + 1,) bool, by part; entry 0 is False.
        """
        number = np.where(keep, np.cumsum(keep), 0)
        return number[self.label].astype(np.int32)


def find_parts(mask: NDArray[np.uint8], value: int = 1) -> Parts:
    """The 4-connected parts of the pixels of a mask, (H, W), that equal `value`."""
    runs = _find_runs(mask, value)
    label, count = _join_runs(runs)
    return Parts(runs, label, count)


def fill_holes(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) mask with its holes filled: background not 4-connected to the image's edge."""
    height, width = mask.shape
    back = find_parts(mask, 0)
    row, start, stop = back.runs.T
    outer = (row == 0) | (row == height - 1) | (start == 0) | (stop == width)
    hole = np.ones(back.count + 1, np.bool_)
    hole[back.label[outer]] = False
    filled = mask.copy()
    paint_runs(filled, back.runs, hole[back.label].astype(np.int32))
    return filled


@njit(cache=True, nogil=True)
def _find_runs(mask: NDArray[np.uint8], value: int) -> NDArray[np.int32]:
    height, width = mask.shape
    runs = np.empty((height * ((width + 1) // 2), 3), np.int32)
    n = 0
    for y in range(height):
        inside = False
        for x in range(width):
            if (mask[y, x] == value) != inside:
                if inside:
                    runs[n, 2] = x
                    n += 1
                else:
                    runs[n, 0] = y
                    runs[n, 1] = x
                inside = not inside
        if inside:
            runs[n, 2] = width
            n += 1
    return runs[:n].copy()


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _join_runs(runs: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Join runs of neighbouring rows that share a column (union-find, smallest run as root)."""
    count = len(runs)
    parent = np.arange(count).astype(np.int32)
    above = 0
    for i in range(count):
        row, start, stop = runs[i]
        while runs[above, 0] < row - 1 or (runs[above, 0] == row - 1 and runs[above, 2] <= start):
            above += 1
        other = above
        while runs[other, 0] == row - 1 and runs[other, 1] < stop:
            a, b = _root(parent, i), _root(parent, other)
            parent[max(a, b)] = min(a, b)
            other += 1
    label = np.empty(count, np.int32)
    parts = 0
    for i in range(count):
        if parent[i] == i:
            parts += 1
            label[i] = parts
        else:
            label[i] = label[_root(parent, i)]
    return label, parts


@njit(cache=True, nogil=True)
def paint_runs(
    image: NDArray[np.integer[Any]], runs: NDArray[np.int32], paint: NDArray[np.int32]
) -> None:
    """Set the pixels of every run to its paint, in place; a paint of 0 leaves them.

    Parameters
    ----------
    image
        (H, W), changed.
    runs
        (R, 3) row, first column, column after the last.
    paint
        (R,) value of each run.
    """
    for i in range(len(runs)):
        if paint[i] != 0:
            image[runs[i, 0], runs[i, 1] : runs[i, 2]] = paint[i]
