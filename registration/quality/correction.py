"""A second look: shifts that remain in the tiles are put in front of the transform."""

import numpy as np

from regdata.arrays import Floats
from regdata.registration.bend import first_without_folds
from regdata.registration.quality.neighbours import smoothed
from regdata.registration.quality.table import TileQuality
from regdata.transforms import Displacement, Transform

_SURE = 0.8  # confidence below which a shift counts for nothing
_LEAST_UM = 0.05  # corrections smaller everywhere are not worth a step
_LEAST_AREA = 0.5  # change of area a correction must leave
_SHRINK, _TIMES = 0.8, 20


def second_look(quality: TileQuality, he_to_if: Transform) -> Transform:
    """A transform corrected by the shifts its tiles are confident of.

    Parameters
    ----------
    quality
        Of this transform.
    he_to_if
        H&E µm to IF µm.

    Returns
    -------
    Transform
        With a smooth displacement in front that nowhere folds; `he_to_if` itself when no tile is
        confident or all agree already.
    """
    rows, columns = quality.shape
    weights = np.where(quality.confidence >= _SURE, quality.confidence, 0.0)
    shifts = smoothed(
        quality.shift_um.reshape(rows, columns, 2),
        weights.reshape(rows, columns),
        quality.sd_um.reshape(rows, columns),
    )
    if np.linalg.norm(shifts, axis=2).max() < _LEAST_UM:
        return he_to_if
    field = _unfolded(shifts.transpose(2, 0, 1), quality)
    return he_to_if if field is None else Transform.displaced(field).then(he_to_if)


def _unfolded(shifts: Floats, quality: TileQuality) -> Displacement | None:
    """The field through shifts at the centres of tiles, weakened until it does not fold."""
    # a grid needs two tiles a side
    enough = [(0, max(0, 2 - side)) for side in shifts.shape[1:]]
    wide = np.pad(shifts, ((0, 0), *enough), mode="edge")
    weaker = (
        Displacement.through(wide * _SHRINK**times, quality.centre_um[0], quality.tile_um)
        for times in range(_TIMES)
    )
    return first_without_folds(weaker, _LEAST_AREA)
