"""What the nuclear stain says of the restained section: nuclei that were lost, places out of focus.

Nothing is read: both follow from the intensity of the nuclear channel in nuclei and in the rings
around them.
"""

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools

_TILE_UM = 64.0
"""Side of the tiles that are judged; a patch out of focus is larger."""
MISSING = 0.3
"""Share of the usual nuclear intensity below which a nucleus was lost."""
FLAT = 0.5
"""Share of the usual log ratio of nucleus to ring below which a tile is out of focus."""
_BESIDE_UM = 1.0
_LEAST = 5  # nuclei that tell something of a tile
_FLOOR = 0.02  # of the usual intensity, so that logs stay finite


def lost(
    nuclear: NDArray[np.float32], xy_um: NDArray[np.float64], tile_um: float = 3 * _TILE_UM
) -> Bools:
    """Which nuclei of the H&E the restained section no longer shows, (N,).

    Their nuclear stain is below 30 % of the median around them; where that is itself low, of
    half the median of the slide, so that a region lost as a whole is recognised, too.

    Parameters
    ----------
    nuclear
        (N,) mean of the nuclear channel in each nucleus, background-subtracted.
    xy_um
        (N, 2) float64, centroids, µm on the H&E slide.
    tile_um
        Side of the tiles whose median a nucleus is compared with, µm.
    """
    if not len(nuclear):
        return np.zeros(0, np.bool_)
    usual = float(np.nanmedian(nuclear))
    local = tile_medians(nuclear, xy_um, tile_um)
    reference = np.maximum(np.nan_to_num(local, nan=usual), 0.5 * usual)
    return np.asarray(np.nan_to_num(nuclear) < MISSING * reference)


def out_of_focus(
    nuclear: NDArray[np.float32],
    ring: NDArray[np.float32],
    xy_um: NDArray[np.float64],
    error_um: NDArray[np.floating],
    tile_um: float = _TILE_UM,
) -> Bools:
    """Which nuclei lie in tiles whose nuclear stain is blurred in the restained section, (N,).

    In focus a nucleus is several times brighter than the ring around it. A tile whose median
    log ratio is below half of the slide's is out of focus, or lies double.

    Parameters
    ----------
    nuclear, ring
        (N,) mean of the nuclear channel in nuclei and in the rings around them.
    xy_um
        (N, 2) float64, centroids, µm on the H&E slide.
    error_um
        (N,) expected registration error, µm; nuclei beside their light have no contrast either, so
        those with more than 1 µm say nothing.
    """
    if not len(nuclear):
        return np.zeros(0, np.bool_)
    floor = max(_FLOOR * float(np.nanmedian(nuclear)), 1e-9)
    ratio = np.log(np.maximum(nuclear, floor) / np.maximum(ring, floor))
    # a lost nucleus has no contrast, in focus or not
    ratio[lost(nuclear, xy_um) | ~(error_um <= _BESIDE_UM)] = np.nan
    usual = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 0.0
    tile = tile_medians(ratio.astype(np.float32), xy_um, tile_um)
    return np.asarray(np.nan_to_num(tile, nan=usual) < FLAT * usual) & (usual > 0)


def tile_medians(
    values: NDArray[np.float32], xy_um: NDArray[np.float64], tile_um: float
) -> NDArray[np.float64]:
    """(N,) median of the values of all nuclei in the same tile; NaN if there are fewer than five.

    Parameters
    ----------
    values
        (N,) float32, one value of each nucleus; NaN is left out.
    xy_um
        (N, 2) float64, centroids, µm on the H&E slide.
    tile_um
        Side of a tile, µm.
    """
    out = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    place = np.floor(xy_um / tile_um).astype(np.int64)
    _, tile = np.unique(place, axis=0, return_inverse=True)
    tile = tile.reshape(-1)
    medians = np.full(int(tile.max(initial=-1)) + 1, np.nan)
    order = known[np.lexsort((values[known], tile[known]))]
    counts = np.bincount(tile[order], minlength=len(medians))
    starts = np.cumsum(counts) - counts
    enough = counts >= _LEAST
    low, high = starts + (counts - 1) // 2, starts + counts // 2
    ordered = values[order]
    medians[enough] = (ordered[low[enough]] + ordered[high[enough]]) / 2
    out[:] = medians[tile]
    return out
