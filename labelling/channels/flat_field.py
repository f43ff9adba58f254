"""The shading of a camera's field, which repeats in every field of a stitched slide.

Fields are square and begin at the slide's corner. The profile is what all fields have in common
(as in BaSiC, Peng et al., 2017), here a low-order polynomial: a lens is brightest in the middle.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.errors import RegdataError

_FEWEST = 4  # fields with tissue that show their common profile
_SAMPLES = 32  # a side of the profile, at most
_ROUNDS = 4
_DARKEST = 0.1


@dataclass(frozen=True)
class Shading:
    """How bright a field is over its own mean.

    Attributes
    ----------
    profile
        (n, n) float32 of mean 1.
    field
        Side of a field, level-0 pixels.
    """

    profile: NDArray[np.float32]
    field: float

    def at(
        self, xy: tuple[float, float], size: tuple[int, int], step: float
    ) -> NDArray[np.float32]:
        """Shading at pixel centres, interpolated within the field a pixel lies in.

        Parameters
        ----------
        xy
            Top-left corner of the region, level-0 pixels.
        size
            (w, h) in pixels.
        step
            Level-0 pixels per pixel.
        """
        columns, rows = (
            _between(np.mod(c + (np.arange(n) + 0.5) * step, self.field) / self.field, self._side)
            for c, n in zip(xy, size, strict=True)
        )
        return np.asarray(rows @ self.profile @ columns.T, np.float32)

    @property
    def _side(self) -> int:
        return len(self.profile)


def fit_shading(
    overview: NDArray[Any], tissue: NDArray[np.bool_], field_px: float
) -> NDArray[np.float32]:
    """The profile that all fields of a slide have in common.

    Every field is divided by its own median in tissue, all are laid on each other, and a
    polynomial even in x and y goes through the medians.

    Parameters
    ----------
    overview
        (H, W) one channel at a coarse resolution.
    tissue
        (H, W) mask; glass says nothing.
    field_px
        Side of a field in pixels of the overview.

    Returns
    -------
    array
        (n, n) float32 of mean 1; n is 32, fewer for small fields.

    Raises
    ------
    RegdataError
        When fewer than four fields hold tissue, or a field is but a few pixels.

    Examples
    --------
    >>> x = np.abs((np.arange(400) + 0.5) % 40 / 20 - 1)
    >>> slide = 100 * (1 - 0.3 * x**2)[None, :] * np.ones((400, 1))
    >>> profile = fit_shading(slide, np.ones((400, 400), bool), 40.0)
    >>> [round(float(v), 2) for v in profile[0, [0, 16, 31]]]
    [0.8, 1.11, 0.8]
    """
    if field_px < 8:
        raise RegdataError(
            f"expected a camera field of at least 8 pixels of the overview, got {field_px:.1f}; "
            "check the side of the field (µm)"
        )
    rows, columns = np.nonzero(tissue)
    values = overview[rows, columns].astype(np.float64)
    n = min(_SAMPLES, int(field_px))
    place = [(p + 0.5) / field_px for p in (rows, columns)]
    row, column = ((p % 1 * n).astype(np.int64) for p in place)
    across = int(np.ceil(overview.shape[1] / field_px)) + 1
    fields, index = np.unique(
        place[0].astype(np.int64) * across + place[1].astype(np.int64), return_inverse=True
    )
    held = np.bincount(index, minlength=len(fields)) >= 0.2 * field_px * field_px
    if held.sum() < _FEWEST:
        raise RegdataError(
            f"expected at least {_FEWEST} camera fields with tissue, got {int(held.sum())}; "
            "check the side of the field (µm), or correct no shading"
        )
    use = held[index]
    values, index, bins = values[use], index[use], (row * n + column)[use]
    profile = np.ones(n * n)
    weight = np.bincount(bins, minlength=n * n)
    for _ in range(_ROUNDS):
        # a field that holds tissue in one corner only is judged by what that corner should be
        level = ndimage.median(values / profile[bins], index, np.arange(len(fields)))
        known = np.asarray(level)[index] > 0
        ratio = values[known] / np.asarray(level)[index[known]]
        common = ndimage.median(ratio, bins[known], np.arange(n * n))
        profile = _even(np.asarray(common, np.float64), weight, n)
    return profile.reshape(n, n).astype(np.float32)


def _even(values: NDArray[np.float64], weight: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Polynomial in even powers through (n * n,) values, of mean 1."""
    side = (np.arange(n) + 0.5) / n * 2 - 1
    x, y = (p.ravel() for p in np.meshgrid(side, side))
    terms = np.stack([np.ones(n * n), x**2, y**2, x**2 * y**2, x**4, y**4], 1)
    known = (weight > 0) & np.isfinite(values)
    root = np.sqrt(weight[known].astype(np.float64))
    fit = np.linalg.lstsq(terms[known] * root[:, None], values[known] * root, rcond=None)[0]
    smooth = terms @ fit
    floor = np.maximum(smooth / smooth.mean(), _DARKEST)
    return np.asarray(floor / floor.mean(), np.float64)


def _between(place: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """(len(place), n) weights that interpolate n samples at places 0..1, linear to the ends."""
    at = place * n - 0.5
    low = np.clip(np.floor(at), 0, n - 2).astype(np.int64)
    weights = np.zeros((len(place), n))
    index = np.arange(len(place))
    weights[index, low] = 1 - (at - low)
    weights[index, low + 1] = at - low
    return weights
