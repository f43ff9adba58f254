"""The non-rigid part of the map: flow tile by tile, one smooth spline over the slide."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.files import Progress, silent
from regdata.registration.bend.evidence import Evidence, isotropic
from regdata.registration.bend.flow import dense_flow
from regdata.registration.bend.folds import behind, stiff_enough
from regdata.registration.bend.nuclear_map import NuclearMap
from regdata.registration.bend.polish import polish_terms
from regdata.registration.bend.spline_fit import PER_SPACING, Stiffness, fitted
from regdata.slides import Box, blurred, pixel_centres, pixels_around, pull_between, pull_shifted
from regdata.transforms import Displacement, Transform


@dataclass(frozen=True)
class Round:
    """One pass over the slide.

    Attributes
    ----------
    kind
        "flow" finds displacements of several pixels, "polish" the last tenths of one.
    mpp
        µm per pixel of the maps.
    spacing_um
        Of the control points of the fit after it.
    blur_um
        Sigma both maps are smoothed with.
    window_um
        Sigma of the neighbourhood they are compared in.
    stiffness
        Of the fit after it.
    """

    kind: Literal["flow", "polish"]
    mpp: float
    spacing_um: float
    blur_um: float
    window_um: float
    stiffness: Stiffness


_SMOOTH = 0.01  # penalty on slope: the field of a tile without evidence goes flat
ROUNDS = (
    Round("flow", 1.0, 32.0, 1.0, 12.0, Stiffness(3e4, _SMOOTH)),
    Round("flow", 0.5, 16.0, 0.5, 12.0, Stiffness(1e4, _SMOOTH)),
    Round("polish", 0.5, 16.0, 0.5, 8.0, Stiffness(300, _SMOOTH)),
    Round("polish", 0.5, 16.0, 0.5, 5.0, Stiffness(100, _SMOOTH)),
    Round("polish", 0.5, 16.0, 0.5, 5.0, Stiffness(100, _SMOOTH)),
    Round("polish", 0.5, 16.0, 0.5, 4.0, Stiffness(50, _SMOOTH)),
)
"""For nuclei at 0.5 µm per pixel. The polish begins stiff, as its first steps are long."""

_TILE = 1024  # px
_MARGIN = 64  # px around it
_EDGE = 8  # px beside the moving slide's edge that say nothing
_NODE = 8  # px between places the transform is evaluated at
_LEAST_AREA = 0.3  # what areas may shrink to


def rounds_at(mpp: float) -> tuple[Round, ...]:
    """The rounds for maps of a coarser pixel: all lengths grow, stiffness so that it acts alike."""
    f = max(1.0, mpp / ROUNDS[-1].mpp)

    def grown(now: Round) -> Round:
        # bending acts on 1 / length² and on lengths: the fourth power where evidence has no unit,
        # the second where it is in squared slopes
        power = 4 if now.kind == "flow" else 2
        stiffness = Stiffness(
            now.stiffness.bending * f**power, now.stiffness.slope * f ** (power - 2)
        )
        return Round(
            now.kind,
            f * now.mpp,
            f * now.spacing_um,
            f * now.blur_um,
            f * now.window_um,
            stiffness,
        )

    return tuple(grown(now) for now in ROUNDS)


def deform(
    fixed: NuclearMap,
    moving: NuclearMap,
    he_to_if: Transform,
    rounds: tuple[Round, ...] = ROUNDS,
    progress: Progress = silent,
) -> Transform:
    """A map refined by a smooth displacement in front of it, H&E µm to IF µm.

    Parameters
    ----------
    fixed, moving
        H&E and IF.
    he_to_if
        H&E µm to IF µm, right to a few nuclei.
    rounds
        What is done, in this order.
    progress
        Called with the share done.
    """
    field: Displacement | None = None
    pair = _Pair(fixed, moving, he_to_if)
    for step, now in enumerate(rounds):
        evidence = Evidence.empty(fixed.size_um, now.spacing_um / PER_SPACING)
        tiles = [box for box in _tiles(fixed.size_um, now) if fixed.shows(box, now.mpp)]
        for done, box in enumerate(tiles, 1):
            _look(pair, field, now, box, evidence)
            progress((step + done / len(tiles)) / len(rounds))
        field = stiff_enough(partial(fitted, evidence), now.stiffness, _LEAST_AREA)
    return behind(field, he_to_if)


def _tiles(size_um: NDArray[np.float64], now: Round) -> Iterator[Box]:
    width, height = np.ceil(size_um / now.mpp).astype(int).tolist()
    for y in range(0, height, _TILE):
        for x in range(0, width, _TILE):
            yield Box(x, y, _TILE, _TILE)


@dataclass(frozen=True)
class _Pair:
    """The maps of H&E and IF, and H&E µm to IF µm before anything is deformed."""

    fixed: NuclearMap
    moving: NuclearMap
    he_to_if: Transform


def _look(
    pair: _Pair, field: Displacement | None, now: Round, box: Box, evidence: Evidence
) -> None:
    """Add what one tile says."""
    wide = Box(box.x - _MARGIN, box.y - _MARGIN, box.w + 2 * _MARGIN, box.h + 2 * _MARGIN)
    here = pair.fixed.part(wide, now.mpp)
    if here.max() <= 0:
        return
    before = _displacement(field, wide, now.mpp)
    there, inside = pulled(pair.moving, behind(field, pair.he_to_if), wide, now.mpp)
    if not inside.any():
        return
    here, there = (blurred(plane, now.blur_um / now.mpp) for plane in (here, there))
    window = now.window_um / now.mpp
    if now.kind == "flow":
        flow = dense_flow(here, there, window)
        terms = isotropic(flow.trust, _after(before, flow.shift, now.mpp))
    else:
        terms = polish_terms(here, there, before, now.mpp, window)
    # beside the edge of the moving slide its darkness would be compared
    terms *= cv2.erode(inside, np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8))
    per_cell = round(evidence.cell_um / now.mpp)
    inner = np.ascontiguousarray(terms[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
    evidence.add(inner, (box.x // per_cell, box.y // per_cell), per_cell)


def _after(before: Plane, shift: Plane, mpp: float) -> Plane:
    """Displacement, µm: a shift in pixels followed by the displacement where it leads."""
    return np.asarray(shift * np.float32(mpp) + pull_shifted(before, shift), np.float32)


def _displacement(field: Displacement | None, box: Box, mpp: float) -> Plane:
    if field is None:
        return np.zeros((box.h, box.w, 2), np.float32)
    return _between(field.displacement(_nodes(box, mpp)).astype(np.float32), box)


def pulled(
    moving: NuclearMap, he_to_if: Transform, box: Box, mpp: float
) -> tuple[Plane, NDArray[np.uint8]]:
    """The moving map in the frame of the H&E, (h, w), and 1 where it has pixels."""
    nodes = he_to_if.points(_nodes(box, mpp)) / mpp
    size = np.ceil(moving.size_um / mpp).astype(int)
    first, last = pixels_around(nodes)
    low, high = np.maximum(first - 4, -4), np.minimum(last + 5, size + 4)
    if (high <= 0).any() or (low >= size).any():
        return np.zeros((box.h, box.w), np.float32), np.zeros((box.h, box.w), np.uint8)
    source = moving.part(Box(*low.tolist(), *(high - low).tolist()), mpp)
    values, at = pull_between(source, nodes, _NODE, (box.w, box.h), low)
    inside = ((at >= -low) & (at <= size - low)).all(2)
    return values, np.asarray(inside, np.uint8)


def _nodes(box: Box, mpp: float) -> NDArray[np.float64]:
    """µm of every eighth pixel's centre, from one node before the box to one behind it."""
    return pixel_centres(Box(box.x, box.y, box.w + _NODE, box.h + _NODE), _NODE) * mpp


def _between(nodes: Plane, box: Box) -> Plane:
    """Values at every pixel from those at every eighth, linear."""
    y, x = np.mgrid[: box.h, : box.w].astype(np.float32) / _NODE
    return np.asarray(cv2.remap(nodes, x, y, cv2.INTER_LINEAR), np.float32)
