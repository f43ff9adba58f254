"""Block matching: where pieces of one slide lie on the other, and the smooth field they agree on.

Optical flow sees a dozen pixels far. A piece that moved further, as neighbouring sections or torn
tissue do, is found by trying every shift of a block. Single blocks go astray; what most of them
say does not.

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
from regdata.registration.bend.evidence import Evidence
from regdata.registration.bend.outside_field import behind, detail_score, pulled_through, unfolded
from regdata.registration.bend.spline_fit import PER_SPACING, Stiffness, fitted
from regdata.registration.pose import Density, detail_um
from regdata.transforms import Displacement, Transform

_PEAK_UM = 20.0  # half the side of a peak of correlation; a second one beside it is the same
_FLAT = 0.02  # contrast of density that is noise
_LEAST_TISSUE = 0.3  # share of a block that both slides have to show
_TRUSTED = 0.03  # least weight of a block that is believed
_AROUND, _NEAR = 8, 3.0  # neighbours asked, and how many steps away they may be
_ALIKE = 0.15  # of their distance: the most that the shifts of neighbours differ
_FAR_UM, _MANY = 10.0, 15  # a shift that flow may miss, and how many blocks have to agree on one
_DETAIL_UM = 2.0  # µm per pixel nuclei are compared at
_DETAIL_MOST = 3.0  # µm per pixel
_LEAST_AREA = 0.2  # Jacobian determinant
_STIFFER = 4.0


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
class Fit:
    """The spline put through blocks.

    Attributes
    ----------
    spacing
        Distance of its control points, µm.
    stiffness
        See `Stiffness`; a block counts by the µm² it stands for.
    apart
        A block this far (µm) from what the others say counts for a quarter; by default all
        count in full.
    """

    spacing: float
    stiffness: Stiffness
    apart: float | None = None


_PASSES = (
    (Search(3.0, 60.0, 200.0, 30.0, contrast=30.0), Fit(40.0, Stiffness(1e4, 1.0))),
    (Search(2.0, 40.0, 40.0, 24.0, contrast=20.0), Fit(32.0, Stiffness(5e3, 1.0))),
)
"""How pieces are followed: far, then close to their edges."""


@dataclass(frozen=True)
class Blocks:
    """What blocks say, one row each.

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
        """Some of them."""
        return Blocks(self.xy[which], self.shift[which], self.weight[which])

    def after(self, field: Displacement) -> "Blocks":
        """Shifts found behind a displacement, with that displacement."""
        return replace(self, shift=self.shift + field.displacement(self.xy + self.shift))


def shift_field(
    fixed: Density,
    moving: Density,
    he_to_if: Transform,
    search: Search,
    fit: Fit,
    before: Displacement | None = None,
) -> Displacement:
    """The displacement that blocks, all of them, put in front of `he_to_if`.

    Parameters
    ----------
    fixed, moving
        H&E and IF.
    he_to_if
        H&E µm to IF µm.
    search, fit
        How.
    before
        One found already, which this one replaces: blocks match better once turned.
    """
    blocks = matched(fixed, moving, behind(before, he_to_if), search)
    total = blocks if before is None else blocks.after(before)
    return smooth(total, fixed.size_um, search.step, fit)


def matched(fixed: Density, moving: Density, he_to_if: Transform, search: Search) -> Blocks:
    """Find every block of the H&E on the moving slide, around where a transform puts it."""
    mpp = max(search.mpp, fixed.mpp, moving.mpp)
    fixed = fixed.coarser(mpp)
    values, inside = pulled_through(moving.coarser(mpp), fixed, he_to_if)
    here, there = (local_contrast(v, search.contrast / mpp) for v in (fixed.values, values))
    half, reach, step = (round(um / mpp) for um in (search.half, search.reach, search.step))
    here = np.pad(here, half)
    both = cv2.integral(np.pad(fixed.tissue & inside, half).astype(np.uint8))
    there = np.pad(np.where(inside, there, 0), half + reach)
    side, found = 2 * half + 1, []
    for y, x in product(*(range(step // 2, n, step) for n in fixed.values.shape)):
        tissue = both[y + side, x + side] - both[y, x + side] - both[y + side, x] + both[y, x]
        if tissue < _LEAST_TISSUE * side**2:
            continue
        window = there[y : y + side + 2 * reach, x : x + side + 2 * reach]
        block = here[y : y + side, x : x + side]
        scores = np.asarray(cv2.matchTemplate(window, block, cv2.TM_CCOEFF_NORMED), np.float32)
        shift, weight = peak(scores, max(2, round(_PEAK_UM / mpp)))
        found.append([x + 0.5, y + 0.5, *shift, weight])
    rows = np.array(found, np.float64).reshape(-1, 5)
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
    """Standard deviations from the mean of the neighbourhood, cut off at 3."""
    mean = cv2.GaussianBlur(values, (0, 0), sigma)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(values**2, (0, 0), sigma) - mean**2, 0))
    return np.asarray(np.clip((values - mean) / (spread + _FLAT), -3, 3), np.float32)


def smooth(blocks: Blocks, size_um: Floats, step: float, fit: Fit) -> Displacement:
    """The spline blocks agree with; most of them, when `fit.apart` says what is apart.

    Parameters
    ----------
    size_um
        (w, h) it is defined on.
    step
        Distance of the blocks.
    """
    weight = blocks.weight * step**2
    field = _fitted(blocks, weight, size_um, fit)
    if fit.apart is None:
        return field
    for wide in (3, 1, 1, 1, 1):  # weights of Geman & McClure, renewed
        off = np.linalg.norm(blocks.shift - field.displacement(blocks.xy), axis=1)
        now = weight / (1 + (off / (wide * fit.apart)) ** 2) ** 2
        field = _fitted(blocks, now, size_um, fit)
    return field


def _fitted(blocks: Blocks, weight: Floats, size_um: Floats, fit: Fit) -> Displacement:
    evidence = Evidence.empty(size_um, fit.spacing / PER_SPACING)
    last = np.array(evidence.sums.shape[:0:-1]) - 1
    x, y = np.minimum(blocks.xy // evidence.cell_um, last).astype(int).T
    ones = np.ones(len(x))
    terms = weight * np.stack([ones, 0 * ones, ones, *blocks.shift.T])
    for plane, values in zip(evidence.sums, terms, strict=True):
        np.add.at(plane, (y, x), values.astype(np.float32))
    return fitted(evidence, fit.stiffness)


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


def piecewise(fixed: Density, moving: Density, he_to_if: Transform) -> Transform:
    """Follow pieces of a restained section that moved on their own, by up to 200 µm.

    Parameters
    ----------
    fixed, moving
        H&E and IF.
    he_to_if
        H&E µm to IF µm, right for one of the pieces and to a few degrees for the others.

    Returns
    -------
    Transform
        `he_to_if` itself unless many blocks agree on a shift of more than 10 µm, and nuclei
        lie better on each other for it; right to a few µm.
    """
    if max(fixed.mpp, moving.mpp) > _DETAIL_MOST:  # no nuclei to be seen on so coarse a map
        return he_to_if
    few = replace(_PASSES[0][0], step=2 * _PASSES[0][0].step)  # enough to see whether to go on
    seen = trusted(matched(fixed, moving, he_to_if, few), few.step)
    if (np.linalg.norm(seen.shift, axis=1) > _FAR_UM).sum() < _MANY:
        return he_to_if
    field: Displacement | None = None
    for search, fit in _PASSES:
        blocks = matched(fixed, moving, behind(field, he_to_if), search)
        sure = trusted(blocks, search.step)
        total = sure if field is None else sure.after(field)
        field = _without_folds(total, fixed.size_um, search.step, fit)
    mpp = max(_DETAIL_UM, fixed.mpp, moving.mpp)
    here, there = (each.coarser(mpp).band(*detail_um(mpp)) for each in (fixed, moving))
    moved = behind(field, he_to_if)
    return max(he_to_if, moved, key=lambda each: detail_score(here, there, each))


def _without_folds(blocks: Blocks, size_um: Floats, step: float, fit: Fit) -> Displacement:
    """The fit, smoothed where it shrinks too much, or stiffer where that does not help."""
    field = unfolded(smooth(blocks, size_um, step, fit))
    while field.min_jacobian() < _LEAST_AREA:
        now = fit.stiffness
        fit = replace(fit, stiffness=Stiffness(_STIFFER * now.bending, _STIFFER * now.slope))
        field = unfolded(smooth(blocks, size_um, step, fit))
    return field
