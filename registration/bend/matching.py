"""Block matching: where pieces of one slide lie on the other.

Optical flow sees a dozen pixels far. A piece that moved further, as neighbouring sections or torn
tissue do, needs every shift of a block tried.

Conventions
-----------
Points and shifts are (x, y) in µm of the H&E: a block at x looks like the moving slide, pulled
into the frame of the H&E, at x + shift.
"""

from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from regdata.arrays import Floats, Plane
from regdata.registration.bend.outside_field import pulled_through
from regdata.registration.pose import Density
from regdata.slides import blurred
from regdata.transforms import Displacement, Transform

_PEAK_UM = 20.0  # half the side of a peak of correlation; a second one beside it is the same
_FLAT = 0.02  # contrast of density that is noise
_LEAST_TISSUE = 0.3  # share of a block that both slides have to show
_TRUSTED = 0.03  # least weight of a block that is believed
_AROUND, _NEAR = 8, 3.0  # neighbours compared, and how many steps away they may be
_ALIKE = 0.15  # of their distance: the most that the shifts of neighbours differ


@dataclass(frozen=True)
class Search:
    """How blocks are matched, in µm.

    Attributes
    ----------
    mpp
        Pixels they are matched on; those of the slide where it has coarser ones.
    half
        Half the side of a block.
    reach
        Longest shift tried along either axis.
    step
        Distance of neighbouring blocks.
    contrast
        Sigma of the neighbourhoods that are brought to one mean and contrast first.
    """

    mpp: float
    half: float
    reach: float
    step: float
    contrast: float


@dataclass(frozen=True)
class Blocks:
    """Shifts of blocks and their weights, one row each.

    Attributes
    ----------
    xy, shift
        (N, 2) µm, middle and shift.
    weight
        (N,) 0 to 1, how far a shift can be trusted: the height of its correlation, squared, and
        how far that stands out from the second best.
    """

    xy: Floats
    shift: Floats
    weight: Floats

    def __len__(self) -> int:
        """How many."""
        return len(self.xy)

    def only(self, which: NDArray[np.bool_]) -> "Blocks":
        """The blocks a mask (N,) selects."""
        return Blocks(self.xy[which], self.shift[which], self.weight[which])

    def after(self, field: Displacement) -> "Blocks":
        """The blocks, shifts taken after a displacement, with that displacement added to them."""
        return replace(self, shift=self.shift + field.displacement(self.xy + self.shift))


def matched(fixed: Density, moving: Density, he_to_if: Transform, search: Search) -> Blocks:
    """Shifts of all blocks of the H&E on the moving slide, around where a transform puts them."""
    mpp = max(search.mpp, fixed.mpp, moving.mpp)
    fixed = fixed.coarser(mpp)
    values, inside = pulled_through(moving.coarser(mpp), fixed, he_to_if)
    here, there = (local_contrast(v, search.contrast / mpp) for v in (fixed.values, values))
    half, reach, step = (round(um / mpp) for um in (search.half, search.reach, search.step))
    here = np.pad(here, half)
    both = cv2.integral(np.pad(fixed.tissue & inside, half).astype(np.uint8))
    there = np.pad(np.where(inside, there, 0), half + reach)
    side, blocks = 2 * half + 1, []
    for y, x in product(*(range(step // 2, n, step) for n in fixed.values.shape)):
        tissue = both[y + side, x + side] - both[y, x + side] - both[y + side, x] + both[y, x]
        if tissue < _LEAST_TISSUE * side**2:
            continue
        window = there[y : y + side + 2 * reach, x : x + side + 2 * reach]
        block = here[y : y + side, x : x + side]
        scores = np.asarray(cv2.matchTemplate(window, block, cv2.TM_CCOEFF_NORMED), np.float32)
        shift, weight = peak(scores, max(2, round(_PEAK_UM / mpp)))
        blocks.append([x + 0.5, y + 0.5, *shift, weight])
    rows = np.array(blocks, np.float64).reshape(-1, 5)
    return Blocks(rows[:, :2] * mpp, rows[:, 2:4] * mpp, rows[:, 4])


def peak(scores: Plane, around: int) -> tuple[Floats, float]:
    """The best shift (x, y) of a square of scores, in pixels from its middle, and its weight.

    Parameters
    ----------
    scores
        (n, n), n odd, -1 to 1.
    around
        Pixels around the best that belong to it.

    Examples
    --------
    >>> scores = np.zeros((5, 5), np.float32)
    >>> scores[1, 4] = 0.5
    >>> shift, weight = peak(scores, 1)
    >>> shift.tolist(), weight
    ([2.0, -1.0], 0.25)
    """
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    best = float(scores[y, x])
    others = scores.copy()
    others[max(0, y - around) : y + around + 1, max(0, x - around) : x + around + 1] = -1
    lead = best - float(others.max())
    middle = scores.shape[0] // 2
    return np.array([x - middle, y - middle], np.float64), max(best, 0) ** 2 * min(1, 10 * lead)


def local_contrast(values: Plane, sigma: float) -> Plane:
    """Deviation of each pixel from its neighbourhood's mean, (h, w), in SDs cut off at 3."""
    mean = blurred(values, sigma)
    spread = np.sqrt(np.maximum(blurred(values**2, sigma) - mean**2, 0))
    return np.asarray(np.clip((values - mean) / (spread + _FLAT), -3, 3), np.float32)


def trusted(blocks: Blocks, step: float) -> Blocks:
    """The blocks that are sure of their shift and that most of their neighbours agree with.

    Parameters
    ----------
    step
        Distance of neighbours, µm; shifts may differ by a share of it, as pieces turn and bend.
    """
    sure = blocks.only(blocks.weight > _TRUSTED)
    if len(sure) <= _AROUND:
        return sure.only(np.zeros(len(sure), np.bool_))
    distance, near = KDTree(sure.xy).query(sure.xy, _AROUND + 1)
    apart = np.linalg.norm(sure.shift[near] - sure.shift[:, None], axis=2)
    alike = (apart < _ALIKE * np.maximum(distance, step)) & (distance < _NEAR * step)
    return sure.only(alike[:, 1:].sum(1) >= _AROUND / 2)
