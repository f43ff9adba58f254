"""Block matching on pieces that moved by what is known."""

from dataclasses import replace

import numpy as np
import pytest
from torn_sections import FIT, GAP, LEFT, SEARCH, SIDE_UM, drawn, grid, nuclei, rigid, torn

from regdata.registration.bend.blocks import Fit, piecewise, shift_field, smooth
from regdata.registration.bend.deformation import deform, rounds_at
from regdata.registration.bend.folds import behind
from regdata.registration.bend.matching import (
    matched,
)
from regdata.registration.bend.nuclear_map import NuclearMap
from regdata.registration.bend.spline_fit import Stiffness
from regdata.registration.pose.density import Density
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform


@pytest.fixture(scope="module")
def pieces() -> tuple[Density, Density]:
    xy = nuclei()
    stained = np.random.default_rng(1).random(len(xy)) > 0.15  # not all nuclei show twice
    return drawn(xy), drawn(torn(xy)[stained], seed=8)


def test_blocks_of_blank_slides_weigh_nothing() -> None:
    blank = Density(np.zeros((300, 300), np.float32), 3.0, np.ones((300, 300), np.bool_))
    blocks = matched(blank, blank, Transform.identity(), SEARCH)
    assert blocks.weight.max() == 0
    field = smooth(blocks, blank.size_um, SEARCH.step, FIT)
    assert np.abs(field.coefficients).max() == 0


def test_blocks_gone_astray_do_not_bend_the_field() -> None:
    blocks = grid((20, -10))
    astray = np.random.default_rng(0).random(len(blocks)) < 0.25
    blocks.shift[astray] = np.random.default_rng(1).uniform(-150, 150, (int(astray.sum()), 2))
    size, stiff = np.array([900.0, 900.0]), Fit(200.0, Stiffness(1e9, 1.0), apart=10.0)
    robust = smooth(blocks, size, 100.0, stiff).displacement(blocks.xy[~astray])
    plain = smooth(blocks, size, 100.0, replace(stiff, apart=None)).displacement(blocks.xy[~astray])
    assert np.abs(robust - [20, -10]).max() < 1.0
    assert np.abs(plain - [20, -10]).max() > 10


def test_a_field_found_before_is_continued() -> None:
    xy = nuclei()
    samples = np.random.default_rng(3).normal(0, 12, (2, 6, 6))
    truth = Transform.displaced(Displacement.through(samples, np.full(2, -100.0), 250.0))
    maps = drawn(xy), drawn(truth.points(xy))
    first = shift_field(*maps, Transform.identity(), SEARCH, FIT)
    second = shift_field(*maps, Transform.identity(), SEARCH, FIT, first)
    places = xy[(np.abs(xy - SIDE_UM / 2) < 330).all(1)]

    def error(field: Displacement | None) -> float:
        apart = behind(field, Transform.identity()).points(places) - truth.points(places)
        return float(np.median(np.linalg.norm(apart, axis=1)))

    assert error(None) > 8
    assert error(first) < 3
    assert error(second) < 1.1 * error(first)  # not twice the field


def test_two_pieces_that_moved_apart_are_both_followed(pieces: tuple[Density, Density]) -> None:
    xy = nuclei()
    maps = NuclearMap.of(pieces[0]), NuclearMap.of(pieces[1])
    start = LEFT  # what an affine fit finds at best

    def errors(he_to_if: Transform) -> tuple[float, float]:
        apart = np.linalg.norm(he_to_if.points(xy) - torn(xy), axis=1)
        left = xy[:, 0] < GAP[0]
        return float(np.median(apart[left])), float(np.median(apart[~left]))

    rounds = rounds_at(1.0)[:3]
    assert errors(deform(*maps, start, rounds[:1]))[1] > 50
    moved = piecewise(*pieces, start)
    assert max(errors(moved)) < 5
    assert moved.steps[0].field.min_jacobian() > 0.1
    assert max(errors(deform(*maps, moved, rounds))) < 1


@pytest.mark.parametrize("off", [(0, 0), (3, -4)], ids=["in place", "a little off"])
def test_one_piece_in_place_is_left_alone(off: tuple[float, float]) -> None:
    xy = nuclei()
    start = rigid(0.3, off, (450, 450))
    assert piecewise(drawn(xy), drawn(xy, seed=8), start) is start


def test_other_tissue_is_not_followed() -> None:
    start = Transform.identity()
    assert piecewise(drawn(nuclei(0)), drawn(nuclei(1)), start) is start
