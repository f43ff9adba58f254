"""Quality of a transform tile by tile: how well the slides agree, and how far it is off.

Conventions
-----------
Points are (x, y) µm on the H&E slide, corner origin; `he_to_if` maps them to µm on the IF slide.
"""

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.files import Progress, silent
from regdata.registration.quality.correction import second_look
from regdata.registration.quality.error import context, expected_error
from regdata.registration.quality.measure import LEAST_TISSUE, Grid, Measures, measure
from regdata.registration.quality.table import STATUSES, TileQuality, write_quality
from regdata.registration.quality.verdicts import Verdict, verdict
from regdata.slides import Slide
from regdata.transforms import Transform

__all__ = [
    "STATUSES",
    "TileQuality",
    "Verdict",
    "assess",
    "second_look",
    "tile_quality",
    "verdict",
    "write_quality",
]

_NUCLEI = 0.03  # spread of hematoxylin detail that a tile with a few nuclei has
_LIKELY = 0.5  # chance above which a tile does show something, however faint
_ACCEPTED_UM, _DOUBTFUL_UM = 1.0, 2.0  # largest expected errors
_ACCEPTED_CHANCE = 0.8  # least chance that what a tile shows is true
_AREA = (0.5, 2.0)  # change of area that tissue may show


def tile_quality(
    he: Slide,
    if_: Slide,
    dapi: int,
    he_to_if: Transform,
    tile_um: float = 64.0,
    progress: Progress = silent,
) -> TileQuality:
    """Correlation, error and status of every tile under a transform.

    The IF slide is warped by the transform and compared with the hematoxylin of the H&E
    slide, a few tiles at a time; only tiles with tissue are read.

    Parameters
    ----------
    he
        RGB.
    if_
        With a nuclear channel.
    dapi
        Index of the nuclear channel of `if_`.
    he_to_if
        The transform, H&E µm to IF µm.
    tile_um
        Side of a tile, 16 to 1000. The constants are fitted for 64.
    progress
        Called with the share done.

    Raises
    ------
    RegdataError
        A slide does not say its pixel size, or the H&E slide is not RGB.
    """
    he.read_rgb((0, 0), (1, 1))  # has the error message for slides that are not RGB
    grid = Grid.over(he, tile_um)
    return assess(grid, measure(he, if_, dapi, he_to_if, grid, progress))


def assess(grid: Grid, measures: Measures) -> TileQuality:
    """Errors and statuses of the tiles from their measures."""
    error, chance = expected_error(measures, context(grid, measures))
    status = _statuses(measures, error, chance)
    return TileQuality(
        centre_um=grid.centres_um,
        tile_um=grid.tile_um,
        tissue=measures.tissue,
        correlation=measures.at_zero,
        null_z=measures.null_z,
        shift_um=measures.shift_um,
        sd_um=measures.sd_um,
        confidence=np.where(np.isfinite(measures.sd_um), chance, 0.0),
        jacobian_min=measures.jacobian_min,
        jacobian_max=measures.jacobian_max,
        error_um=np.where(status == "empty", np.nan, error),
        status=status,
    )


def _statuses(measures: Measures, error: Floats, chance: Floats) -> NDArray[np.str_]:
    faint = (measures.nuclei < _NUCLEI) & (chance < _LIKELY)
    empty = (measures.tissue < LEAST_TISSUE) | faint
    torn = (measures.jacobian_min < _AREA[0]) | (measures.jacobian_max > _AREA[1])
    unseen = ~np.isfinite(measures.sd_um)
    good = (error <= _ACCEPTED_UM) & (chance >= _ACCEPTED_CHANCE)
    # the first that holds
    conditions = [empty, torn | unseen, good, error <= _DOUBTFUL_UM]
    named = np.select(conditions, ["empty", "reject", "accept", "doubtful"], "reject")
    return np.asarray(named, np.dtype("U8"))
