"""Block matching on pieces that moved by what is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.registration.bend.blocks import Fit, piecewise, shift_field, smooth
from regdata.registration.bend.deformation import deform, rounds_at
from regdata.registration.bend.folds import behind
from regdata.registration.bend.matching import (
    Blocks,
    Search,
    local_contrast,
    matched,
    peak,
    trusted,
)
from regdata.registration.bend.nuclear_map import NuclearMap
from regdata.registration.bend.spline_fit import Stiffness
from regdata.registration.pose.density import Density
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform

SIDE_UM, MPP, GAP = 900.0, 1.0, (420.0, 540.0)
SEARCH = Search(3.0, half=60.0, reach=90.0, step=60.0, contrast=30.0)
FIT = Fit(100.0, Stiffness(1e5, 1.0), apart=10.0)


def nuclei(seed: int = 0) -> NDArray[np.float64]:
    """Two pieces of tissue left and right of a gap."""
    xy = np.random.default_rng(seed).uniform(40, SIDE_UM - 40, (6000, 2))
    return xy[(xy[:, 0] < GAP[0]) | (xy[:, 0] > GAP[1])]


def drawn(xy: NDArray[np.float64], mpp: float = MPP, seed: int = 7) -> Density:
    """Nuclei as soft discs of random brightness."""
    size = round(SIDE_UM / mpp)
    image = np.zeros((size, size), np.float32)
    rng = np.random.default_rng(seed)
    for x, y in xy:
        centre = (round((x / mpp - 0.5) * 16), round((y / mpp - 0.5) * 16))
        radius, value = rng.uniform(2.4, 4.0) / mpp, rng.uniform(0.3, 1.0)
        cv2.circle(image, centre, round(radius * 16), value, -1, cv2.LINE_8, 4)
    image = cv2.GaussianBlur(image, (0, 0), 0.8 / mpp)
    return Density(image, mpp, np.ones(image.shape, np.bool_))


def rigid(degrees: float, shift: tuple[float, float], about: tuple[float, float]) -> Transform:
    a = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    matrix[:2, 2] = np.array(about) - matrix[:2, :2] @ about + shift
    return Transform.affine(matrix)


LEFT, RIGHT = rigid(2, (60, -20), (220, 450)), rigid(-2, (-40, 30), (720, 450))


def torn(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the two pieces went, each on its own."""
    return np.where(xy[:, :1] < GAP[0], LEFT.points(xy), RIGHT.points(xy))


@pytest.fixture(scope="module")
def pieces() -> tuple[Density, Density]:
    xy = nuclei()
    stained = np.random.default_rng(1).random(len(xy)) > 0.15  # not all nuclei show twice
    return drawn(xy), drawn(torn(xy)[stained], seed=8)


def grid(shift: tuple[float, float] = (0, 0), weight: float = 1.0) -> Blocks:
    x, y = np.meshgrid(np.arange(50.0, 900, 100), np.arange(50.0, 900, 100))
    xy = np.column_stack([x.ravel(), y.ravel()])
    return Blocks(xy, np.tile(np.array(shift, float), (len(xy), 1)), np.full(len(xy), weight))


@pytest.mark.parametrize("shift", [(0, 0), (30, -24), (-60, 81)])
def test_every_block_is_found_where_it_went(shift: tuple[float, float]) -> None:
    xy = nuclei()
    blocks = matched(drawn(xy), drawn(xy + shift), Transform.identity(), SEARCH)
    inside = (np.abs(blocks.xy - SIDE_UM / 2) < 200).all(1)
    assert inside.sum() > 20
    assert np.abs(blocks.shift[inside] - shift).max() <= SEARCH.mpp / 2
    assert blocks.weight[inside].min() > 0.5


def test_shifts_are_counted_from_where_the_transform_leads() -> None:
    xy, start = nuclei(), rigid(30, (15, 20), (450, 450))
    there = start.points(xy + np.array([24, -30]))
    blocks = matched(drawn(xy), drawn(there), start, SEARCH)
    inside = (np.abs(blocks.xy - SIDE_UM / 2) < 200).all(1)
    assert np.abs(blocks.shift[inside] - [24, -30]).max() <= SEARCH.mpp


def test_blocks_lie_in_tissue_of_both_slides() -> None:
    fixed = drawn(nuclei())
    half = fixed.tissue.copy()
    half[:, 450:] = False
    away = Transform.affine(np.array([[1.0, 0, 0], [0, 1, 450], [0, 0, 1]]))
    blocks = matched(replace(fixed, tissue=half), fixed, away, SEARCH)
    reach = SEARCH.half * 0.4 + SEARCH.mpp  # a third of the block
    assert len(blocks)
    assert blocks.xy.max() <= 450 + reach


def test_blocks_of_blank_slides_weigh_nothing() -> None:
    blank = Density(np.zeros((300, 300), np.float32), 3.0, np.ones((300, 300), np.bool_))
    blocks = matched(blank, blank, Transform.identity(), SEARCH)
    assert blocks.weight.max() == 0
    field = smooth(blocks, blank.size_um, SEARCH.step, FIT)
    assert np.abs(field.coefficients).max() == 0


def test_a_second_peak_as_high_takes_the_weight_away() -> None:
    scores = np.zeros((21, 21), np.float32)
    scores[3, 17] = 0.8
    assert peak(scores, 2)[0].tolist() == [7, -7]
    assert peak(scores, 2)[1] == pytest.approx(0.64)
    scores[15, 4] = 0.8
    assert peak(scores, 2)[1] == 0
    scores[15, 4] = 0.75
    assert peak(scores, 2)[1] == pytest.approx(0.32)


def test_local_contrast_forgets_gain_and_background() -> None:
    values = drawn(nuclei()).values[:300, :300]
    y, x = np.mgrid[:300, :300].astype(np.float32) / 300
    uneven = values * (1 + 2 * x) + 3 * y
    a, b = (
        local_contrast(each.astype(np.float32), 20)[40:-40, 40:-40] for each in (values, uneven)
    )
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
    assert np.abs(b).max() <= 3


def test_blocks_gone_astray_do_not_bend_the_field() -> None:
    blocks = grid((20, -10))
    astray = np.random.default_rng(0).random(len(blocks)) < 0.25
    blocks.shift[astray] = np.random.default_rng(1).uniform(-150, 150, (int(astray.sum()), 2))
    size, stiff = np.array([900.0, 900.0]), Fit(200.0, Stiffness(1e9, 1.0), apart=10.0)
    robust = smooth(blocks, size, 100.0, stiff).displacement(blocks.xy[~astray])
    plain = smooth(blocks, size, 100.0, replace(stiff, apart=None)).displacement(blocks.xy[~astray])
    assert np.abs(robust - [20, -10]).max() < 1.0
    assert np.abs(plain - [20, -10]).max() > 10


def test_only_blocks_that_agree_with_neighbours_are_trusted() -> None:
    blocks = grid((30, 0))
    blocks.shift[blocks.xy[:, 0] > 450] = [-50, 20]  # two pieces, both in agreement
    alone = 2 * 9 + 2
    blocks.shift[alone] = [0, 90]
    blocks.weight[40] = 0.01
    kept = trusted(blocks, 100.0)
    assert not (kept.shift == [0, 90]).all(1).any()
    assert len(kept) >= len(blocks) - 6
    assert {tuple(shift) for shift in kept.shift.tolist()} == {(30, 0), (-50, 20)}
    assert not (kept.xy == blocks.xy[40]).all(1).any()


def test_few_blocks_are_not_trusted_at_all() -> None:
    assert len(trusted(grid().only(np.arange(81) < 5), 100.0)) == 0


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
