"""The smooth field that matched blocks agree on: pieces that moved further than flow can see.

Single blocks go astray; most of them together do not.
"""

from dataclasses import dataclass, replace

import numpy as np

from regdata.arrays import Floats
from regdata.registration.bend.evidence import Evidence
from regdata.registration.bend.folds import LEAST_AREA, behind, stiff_enough, unfolded
from regdata.registration.bend.matching import Blocks, Search, matched, trusted
from regdata.registration.bend.outside_field import detail_score
from regdata.registration.bend.spline_fit import PER_SPACING, Stiffness, fitted
from regdata.registration.pose import Density, detail_um
from regdata.transforms import Displacement, Transform

_FAR_UM, _MANY = 10.0, 15  # a shift that flow may miss, and how many blocks have to agree on one
_DETAIL_UM = 2.0  # µm per pixel nuclei are compared at
_DETAIL_MOST = 3.0  # µm per pixel


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
        A block this far (µm) from the field of the others counts for a quarter; by default all
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


def shift_field(
    fixed: Density,
    moving: Density,
    he_to_if: Transform,
    search: Search,
    fit: Fit,
    before: Displacement | None = None,
) -> Displacement:
    """The displacement, µm, to put in front of `he_to_if` so that the matched blocks agree.

    Parameters
    ----------
    fixed, moving
        H&E and IF.
    he_to_if
        H&E µm to IF µm.
    search, fit
        How.
    before
        An earlier field, which this one replaces: blocks match better once turned.
    """
    blocks = matched(fixed, moving, behind(before, he_to_if), search)
    total = blocks if before is None else blocks.after(before)
    return smooth(total, fixed.size_um, search.step, fit)


def smooth(blocks: Blocks, size_um: Floats, step: float, fit: Fit) -> Displacement:
    """The spline through the shifts of blocks; outliers count less when `fit.apart` is set.

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


def piecewise(fixed: Density, moving: Density, he_to_if: Transform) -> Transform:
    """The map that follows pieces of a section that moved on their own, by up to 200 µm.

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
    if max(fixed.mpp, moving.mpp) > _DETAIL_MOST:  # so coarse a map shows no nuclei
        return he_to_if
    few = replace(_PASSES[0][0], step=2 * _PASSES[0][0].step)  # enough to see whether to go on
    blocks = trusted(matched(fixed, moving, he_to_if, few), few.step)
    if (np.linalg.norm(blocks.shift, axis=1) > _FAR_UM).sum() < _MANY:
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

    def at(stiffness: Stiffness) -> Displacement:
        return unfolded(smooth(blocks, size_um, step, replace(fit, stiffness=stiffness)))

    return stiff_enough(at, fit.stiffness, LEAST_AREA)
