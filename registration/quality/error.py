"""From what was measured in tiles to how large the error of the transform is there.

The error is an expectation over two cases. Either the best shift is the right one; then it is the
error, up to its own noise and to how the error varies inside the tile. Or it is not; then the
error is what the neighbours see, or anything. The chance of the first is logistic in how far the
peak stands out and in how well the neighbours agree with it.

The constants are fitted by benchmarks/registration_quality.py --fit, on other images than it
checks them on. There claimed and true errors of 1722 tiles correlate with 0.84, and 99 % of the
tiles claimed below 1 µm truly are below 2 µm.
"""

from dataclasses import dataclass

import numpy as np

from regdata.arrays import Floats
from regdata.registration.quality.measure import Grid, Measures
from regdata.registration.quality.neighbours import consensus, disagreement, smoothed

_MOST = 3.0  # neighbours beyond this many add nothing
_CLOSE_UM = 1.5  # neighbours this far apart half agree


@dataclass(frozen=True, kw_only=True)
class Constants:
    """The fitted constants of the error model.

    Attributes
    ----------
    own, agreeing, contradicting, offset
        Of the logit of the chance that a shift is right: factor of the tile's own logit, of the
        neighbours that agree and that do not, and a constant.
    rough
        Share of the disagreement with the neighbours in the error of a right shift.
    beside
        µm that the error may differ from that of the neighbours where the tile says nothing.
    lost
        µm expected where there are no nuclei to compare.
    """

    own: float
    agreeing: float
    contradicting: float
    offset: float
    rough: float
    beside: float
    lost: float


FITTED = Constants(
    own=0.31,
    agreeing=2.9,
    contradicting=1.79,
    offset=-5.18,
    rough=0.07,
    beside=2.26,
    lost=6.0,
)


@dataclass(frozen=True)
class Context:
    """A tile among its neighbours; all (N,) but `middle_um`.

    Attributes
    ----------
    logit
        Of the tile's own confidence.
    agreeing, contradicting
        Confident neighbours that see about the same shift, and others; 3 at most together.
    middle_um
        (N, 2), what the neighbours agree on.
    length_um
        Of the shift, averaged with the neighbours that agree.
    rough_um
        Disagreement with the neighbours.
    """

    logit: Floats
    agreeing: Floats
    contradicting: Floats
    middle_um: Floats
    length_um: Floats
    rough_um: Floats

    @property
    def heard(self) -> Floats:
        """Weight of the neighbours, (N,) 0 to 1: 0 where none is confident."""
        return np.minimum(self.agreeing + self.contradicting, 1.0)


def context(grid: Grid, measures: Measures) -> Context:
    """Every tile compared with its neighbours."""
    shape = (grid.rows, grid.columns)
    shifts = measures.shift_um.reshape(*shape, 2)
    weights = measures.confidence.reshape(shape)
    middle, count = consensus(shifts, weights)
    apart = ((shifts - middle) ** 2).sum(-1)
    close = 1 / (1 + apart / _CLOSE_UM**2)
    count = np.minimum(count, _MOST)
    smooth = smoothed(shifts, weights, measures.sd_um.reshape(shape))
    sure = np.clip(measures.confidence, 1e-4, 1 - 1e-4)
    return Context(
        logit=np.log(sure / (1 - sure)),
        agreeing=(count * close).ravel(),
        contradicting=(count * (1 - close)).ravel(),
        middle_um=middle.reshape(-1, 2),
        length_um=np.linalg.norm(smooth.reshape(-1, 2), axis=1),
        rough_um=disagreement(shifts, weights).ravel(),
    )


def _chance_right(around: Context, constants: Constants = FITTED) -> Floats:
    """Chance that the shift of every tile is the right one, (N,)."""
    among = (
        constants.own * around.logit
        + constants.agreeing * around.agreeing
        + constants.contradicting * around.contradicting
        + constants.offset
    )
    heard = around.heard  # a tile by itself is judged by itself
    logit = heard * among + (1 - heard) * around.logit
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def expected_error(
    measures: Measures, around: Context, constants: Constants = FITTED
) -> tuple[Floats, Floats]:
    """Expected length of the error, µm, and the chance that the shift is right; (N,) each."""
    chance = _chance_right(around, constants)
    noise = np.where(np.isfinite(measures.sd_um), measures.sd_um, constants.lost)
    right = np.sqrt(around.length_um**2 + noise**2 + (constants.rough * around.rough_um) ** 2)
    neighbours = around.heard
    there = np.hypot(np.linalg.norm(around.middle_um, axis=1), constants.beside)
    wrong = neighbours * there + (1 - neighbours) * constants.lost
    return chance * right + (1 - chance) * wrong, chance
