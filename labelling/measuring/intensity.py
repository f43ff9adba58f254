"""How intensities are spread over the pixels of a nucleus, in so few numbers that they are kept.

The curve of a nucleus holds 21 of its n pixel values in descending order: entry k is the one at
place floor(k n / 20), the last entry the least. Thresholds are read off curves. Shares are counted
in all pixels, see `pixels`; files of before those were kept have curves alone: more than k / 20 of
the pixels lie above a threshold exactly when entry k does, so that cut-offs in steps of 0.05 decide
as the pixels would.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.labelling.measuring.footprint import Footprints

LEVELS = 20
"""Steps of a curve; it has one value more."""

Curve = NDArray[np.float32]  # (N, LEVELS + 1)


@dataclass(frozen=True)
class Spread:
    """How the intensities of N nuclei are spread.

    Attributes
    ----------
    curve, mean
        (N, 21) and (N,) float32; NaN for a nucleus without pixels.
    values
        (P,) float32, all pixels of nucleus after nucleus, those of each in ascending order.
    """

    curve: Curve
    mean: NDArray[np.float32]
    values: NDArray[np.float32]


def spread(plane: NDArray[np.float32], nuclei: Footprints) -> Spread:
    """The curve, mean and sorted intensities of the pixels of each nucleus.

    Parameters
    ----------
    plane
        (h, w) intensities of the region.
    nuclei
        Pixels of the nuclei in the region.
    """
    count = len(nuclei.offsets) - 1
    curve = np.full((count, LEVELS + 1), np.nan, np.float32)
    mean = np.full(count, np.nan, np.float32)
    values = np.ascontiguousarray(plane, np.float32).reshape(-1)[nuclei.pixels]
    _fill(values, nuclei.offsets, curve, mean)
    return Spread(curve, mean, values)


@njit(cache=True, nogil=True)
def _fill(
    values: NDArray[np.float32],
    offsets: NDArray[np.int64],
    curve: Curve,
    mean: NDArray[np.float32],
) -> None:
    """Fill in curves and means, and sort the values of each nucleus."""
    for i in range(len(offsets) - 1):
        n = offsets[i + 1] - offsets[i]
        if n == 0:
            continue
        own = values[offsets[i] : offsets[i + 1]]
        total = 0.0
        for k in range(n):
            total += own[k]
        own.sort()
        mean[i] = total / n
        for k in range(LEVELS):
            curve[i, k] = own[n - 1 - (k * n) // LEVELS]
        curve[i, LEVELS] = own[0]


def decides(share: float) -> bool:
    """Whether a curve tells that a larger share of the pixels lies above a threshold.

    Examples
    --------
    >>> decides(0.15), decides(0.12)
    (True, False)
    """
    return abs(share * LEVELS - round(share * LEVELS)) < 1e-9


def overlap(curve: Curve, threshold: NDArray[np.floating] | float) -> NDArray[np.float32]:
    """Share of the pixels above a threshold, read off the curve.

    It is above k / 20 exactly when the true share is; in between it is interpolated.

    Parameters
    ----------
    curve
        (N, 21).
    threshold
        (N,) or one for all.

    Returns
    -------
    array
        (N,) float32, 0 for a nucleus without pixels.

    Examples
    --------
    >>> overlap(np.arange(20, -1, -1, dtype=np.float32)[None], 17.5).tolist()
    [0.125]
    """
    cut = np.broadcast_to(np.asarray(threshold, np.float32), len(curve))[:, None]
    above = (curve > cut).sum(1)  # entries 0..above-1: the share lies in (above - 1, above] / 20
    rows = np.arange(len(curve))
    upper = curve[rows, np.clip(above - 1, 0, LEVELS)]
    lower = curve[rows, np.clip(above, 0, LEVELS)]
    part = np.clip((upper - cut[:, 0]) / np.maximum(upper - lower, 1e-12), 1e-4, 1)
    share = np.where(above > LEVELS, 1.0, (above - 1 + part) / LEVELS)
    return np.where(above > 0, share, 0).astype(np.float32)


def at_share(curve: Curve, share: float) -> NDArray[np.float32]:
    """(N,) float32 intensity that exactly this share of the pixels reaches; inverse of `overlap`.

    Parameters
    ----------
    curve
        (N, 21) float32.
    share
        0 to 1.
    """
    place = share * LEVELS
    k = min(int(place), LEVELS - 1)
    part = np.float32(place - k)
    return np.asarray((1 - part) * curve[:, k] + part * curve[:, k + 1], np.float32)
