"""Comparison of a tile's shift with those of the tiles around it.

Conventions
-----------
Maps are (rows, columns, ...) of tiles; beyond the edge there are tiles of no weight.
"""

import numpy as np

from regdata.arrays import Floats

_RING = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
_ODD_UM = 2.0  # a shift this far from its neighbours counts half
_LEAST_UM, _UNSURE_UM = 0.1, 3.0  # standard deviations: of the best shift, and of no shift


def _around(values: Floats) -> Floats:
    """The eight tiles around every tile, (8, rows, columns, ...); 0 beyond the edge."""
    rows, columns = values.shape[:2]
    wide = np.pad(values, ((1, 1), (1, 1), *[(0, 0)] * (values.ndim - 2)))
    return np.stack([wide[1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for y, x in _RING])


def consensus(shifts: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The median shift of each tile's neighbours, and how many neighbours count.

    Parameters
    ----------
    shifts
        (rows, columns, 2), µm.
    weights
        (rows, columns), 0 to 1.

    Returns
    -------
    middle
        (rows, columns, 2), median of the neighbours by weight; 0 where there are none.
    count
        (rows, columns), sum of their weights.

    Examples
    --------
    >>> shifts = np.zeros((3, 3, 2))
    >>> shifts[..., 0] = [[1, 1, 9], [1, 5, 1], [1, 1, 1]]
    >>> middle, count = consensus(shifts, np.ones((3, 3)))
    >>> middle[1, 1].tolist(), float(count[1, 1]), float(count[0, 0])
    ([1.0, 0.0], 8.0, 3.0)
    """
    weight = _around(weights)
    values = _around(shifts)
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(values, order, 0)
    summed = np.cumsum(np.take_along_axis(weight[..., None] + 0 * values, order, 0), 0)
    total = summed[-1]
    first = np.argmax(summed >= total / 2, axis=0)
    middle = np.take_along_axis(ranked, first[None], 0)[0]
    return np.where(total > 0, middle, 0.0), weight.sum(0)


def disagreement(shifts: Floats, weights: Floats) -> Floats:
    """Root mean square distance of a tile's shift from the neighbours', (rows, columns)."""
    apart = ((_around(shifts) - shifts) ** 2).sum(-1)
    weight = _around(weights)
    total = weight.sum(0)
    return np.asarray(np.sqrt((weight * apart).sum(0) / np.maximum(total, 1e-9)))


def smoothed(shifts: Floats, weights: Floats, sd_um: Floats) -> Floats:
    """Shifts (rows, columns, 2) µm averaged with their neighbours, 0 where none is certain.

    A shift counts by its precision, that of a neighbour by how far neighbours differ from one
    another besides, so that a field that varies much is averaged little. One that its neighbours
    contradict counts less.

    Parameters
    ----------
    shifts
        (rows, columns, 2), µm.
    weights
        (rows, columns), 0 to 1.
    sd_um
        (rows, columns), standard deviation of a shift along an axis, µm.

    Returns
    -------
    array
        (rows, columns, 2).
    """
    middle, count = consensus(shifts, weights)
    odd = ((shifts - middle) ** 2).sum(-1) / _ODD_UM**2 * np.minimum(count, 1)
    variance = np.maximum(np.where(np.isfinite(sd_um), sd_um, _UNSURE_UM), _LEAST_UM) ** 2
    own = weights / (1 + odd) / variance
    weight, apart = _around(weights), ((_around(shifts) - middle) ** 2).sum(-1)
    rough = (weight * apart).sum(0) / np.maximum(count, 1e-9) / 2  # along an axis
    far = np.array([y * y + x * x for y, x in _RING])[:, None, None]
    beside = weight / (_around(variance) + _LEAST_UM**2 + rough * far)
    total = own + beside.sum(0) + 1 / _UNSURE_UM**2
    summed = own[..., None] * shifts + (beside[..., None] * _around(shifts)).sum(0)
    return np.asarray(summed / total[..., None])
