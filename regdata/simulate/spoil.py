"""Where the picture of a section is no good: folds and patches out of focus.

Conventions
-----------
Points are (x, y) in µm of the IF, origin at the top-left corner of the top-left pixel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.cells import centroids
from regdata.simulate.settings import RestainSettings
from regdata.slides import Box

DEFOCUS_UM = 3.0
"""Blur of what is out of focus, standard deviation."""
_PATCH_UM, _FEWEST = 256.0, 4  # side of a patch; patches along the shorter side of a small section
_WIDTH_UM = 40.0  # of a fold
_LENGTH = 0.6  # of a fold, in longest sides of the IF
_BESIDE_UM = 1.5 * _WIDTH_UM  # how far away the tissue comes from that lies on top


@dataclass(frozen=True)
class Fold:
    """A strip in which the section lies double.

    Attributes
    ----------
    centre
        (2,) middle of the strip.
    along
        (2,) unit vector along it.
    length
        From end to end, µm.
    """

    centre: Points
    along: Points
    length: float

    @property
    def shift_um(self) -> Points:
        """Shift (2,) µm from a point of the strip to where the tissue on top of it comes from."""
        return np.array([-self.along[1], self.along[0]]) * _BESIDE_UM

    def holds(self, xy_um: Points) -> NDArray[np.bool_]:
        """Whether points (..., 2) µm lie in the strip, (...)."""
        away = xy_um - self.centre
        across = away @ np.array([-self.along[1], self.along[0]])
        inside = np.abs(across) < _WIDTH_UM / 2
        return np.asarray(inside & (np.abs(away @ self.along) < self.length / 2))


@dataclass(frozen=True)
class Spoils:
    """Folds and patches out of focus.

    Attributes
    ----------
    folds
        Strips in which the section lies double.
    patches
        (rows, columns) whether a patch is out of focus, the first at the corner.
    patch_um
        Side of a patch.
    """

    folds: tuple[Fold, ...]
    patches: NDArray[np.bool_]
    patch_um: float = _PATCH_UM

    def any(self) -> bool:
        """Whether anything is spoiled."""
        return bool(self.folds) or bool(self.patches.any())

    def at(self, xy_um: Points) -> NDArray[np.bool_]:
        """Whether points (..., 2) µm lie in a fold or out of focus, (...)."""
        out = self._blurred(xy_um)
        for fold in self.folds:
            out = out | fold.holds(xy_um)
        return out

    def folded_pixels(self, box: Box, mpp: float) -> Iterator[tuple[Fold, NDArray[np.bool_]]]:
        """The folds that touch a box of pixels, each with the (h, w) pixels it covers."""
        for fold in self.folds:
            inside = fold.holds(_centres(box, mpp))
            if inside.any():
                yield fold, inside

    def blurred_pixels(self, box: Box, mpp: float) -> NDArray[np.bool_]:
        """Mask (h, w) of the pixels of a box that are out of focus."""
        if not self.patches.any():
            return np.zeros((box.h, box.w), np.bool_)
        return self._blurred(_centres(box, mpp))

    def _blurred(self, xy_um: Points) -> NDArray[np.bool_]:
        rows, columns = self.patches.shape
        column, row = np.moveaxis(np.floor(xy_um / self.patch_um).astype(np.int64), -1, 0)
        return np.asarray(self.patches[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)])


def draw_spoils(
    size_um: tuple[float, float], settings: RestainSettings, rng: np.random.Generator
) -> Spoils:
    """Random folds and out-of-focus patches of a section of `size_um` (w, h) µm."""
    folds = []
    for _ in range(settings.folds):
        centre = np.array(size_um) * rng.uniform(0.25, 0.75, 2)
        turn = rng.uniform(0, np.pi)
        along = np.array([np.cos(turn), np.sin(turn)])
        folds.append(Fold(centre, along, _LENGTH * max(size_um)))
    patch = min(_PATCH_UM, min(size_um) / _FEWEST)
    columns, rows = (math.ceil(side / patch) for side in size_um)
    x, y = (
        np.minimum(patch, side - np.arange(n) * patch)
        for side, n in zip(size_um, (columns, rows), strict=True)
    )
    area = (y[:, None] * x[None, :]).ravel() / (size_um[0] * size_um[1])
    order = rng.permutation(rows * columns)
    # a patch is taken when more than half of it is still missing from the share
    taken = np.cumsum(area[order]) - area[order] / 2 < settings.blurred
    patches = np.zeros(rows * columns, np.bool_)
    patches[order[taken]] = True
    return Spoils(tuple(folds), patches.reshape(rows, columns), patch)


def nuclear_centres(instances: NDArray[np.int32]) -> tuple[NDArray[np.int64], Points]:
    """Numbers and centroids of the nuclei in an instance map, (K,) and (K, 2) pixels.

    Parameters
    ----------
    instances
        (H, W) nuclei 1..N, 0 elsewhere; numbers may be missing.

    Returns
    -------
    ids, centres
        (K,) the numbers that occur, and (K, 2) their mean positions, pixels, corner origin.
    """
    there = np.zeros(int(instances.max(initial=0)) + 1, bool)
    for row in instances:
        there[row] = True
    there[0] = False
    return np.flatnonzero(there), centroids(instances)[there[1:]]


def _centres(box: Box, mpp: float) -> Points:
    """(h, w, 2) centres of the pixels of a box."""
    x, y = np.meshgrid(np.arange(box.w) + box.x, np.arange(box.h) + box.y)
    return np.asarray((np.stack([x, y], -1) + 0.5) * mpp, np.float64)
