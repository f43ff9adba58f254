"""The non-rigid part on sections drawn in memory, moved by fields that are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.registration.bend import nuclear_map
from regdata.registration.bend.deformation import ROUNDS, deform, pulled, rounds_at
from regdata.registration.bend.nuclear_map import NuclearMap, he_map, moving_map
from regdata.registration.pose.density import Density
from regdata.slides.slide import Box
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform

MPP = 0.5
SIDE_UM = 300.0


def drawn(xy: NDArray[np.float64], mpp: float = MPP, side_um: float = SIDE_UM) -> Density:
    """Nuclei as soft discs at points in µm."""
    size = round(side_um / mpp)
    image = np.zeros((size, size), np.float32)
    rng = np.random.default_rng(7)
    for x, y in xy:
        centre = (round((x / mpp - 0.5) * 16), round((y / mpp - 0.5) * 16))
        radius, value = rng.uniform(2.4, 4.0) / mpp, rng.uniform(0.5, 1.0)
        cv2.circle(image, centre, round(radius * 16), value, -1, cv2.LINE_8, 4)
    image = cv2.GaussianBlur(image, (0, 0), 0.6 / mpp)
    return Density(image, mpp, np.ones(image.shape, np.bool_))


def nuclei(side_um: float = SIDE_UM, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.uniform(5, side_um - 5, (int(side_um**2 / 110), 2))


def bend(amount_um: float, seed: int = 1) -> Displacement:
    samples = np.random.default_rng(seed).normal(0, amount_um, (2, 9, 9))
    return Displacement.through(samples, np.full(2, -100.0), 70.0)


def turn(degrees: float) -> Transform:
    a = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    middle = np.full(2, SIDE_UM / 2)
    matrix[:2, 2] = middle - matrix[:2, :2] @ middle
    return Transform.affine(matrix)


def errors(found: Transform, truth: Transform, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = ((xy > 15) & (xy < SIDE_UM - 15)).all(1)
    return np.linalg.norm(found.points(xy) - truth.points(xy), axis=1)[inside]


@pytest.mark.parametrize("mpp", [0.5, 0.65], ids=["equal pixels", "coarser IF"])
def test_a_known_field_is_found(mpp: float) -> None:
    xy, affine = nuclei(), turn(12)
    truth = Transform.displaced(bend(3.0)).then(affine)
    moving = drawn(truth.points(xy), mpp)
    found = deform(NuclearMap.of(drawn(xy)), NuclearMap.of(moving), affine)
    before, after = errors(affine, truth, xy), errors(found, truth, xy)
    assert np.median(before) > 2
    assert np.median(after) < 0.15
    assert np.percentile(after, 90) < 0.5


def test_the_field_never_folds_on_unlike_maps() -> None:
    fixed, moving = drawn(nuclei(seed=1)), drawn(nuclei(seed=2))
    found = deform(NuclearMap.of(fixed), NuclearMap.of(moving), Transform.identity())
    field = found.steps[0].field
    assert field.min_jacobian() > 0
    back = found.inverse().points(found.points(nuclei(seed=3)))
    assert np.abs(back - nuclei(seed=3)).max() < 0.01


def test_a_blank_moving_map_moves_nothing() -> None:
    fixed = drawn(nuclei())
    blank = replace(fixed, values=np.zeros_like(fixed.values))
    found = deform(NuclearMap.of(fixed), NuclearMap.of(blank), turn(5))
    xy = nuclei(seed=4)
    assert np.abs(found.points(xy) - turn(5).points(xy)).max() < 0.01


def test_where_there_is_no_signal_the_field_is_carried_on() -> None:
    xy = nuclei()
    truth = Transform.displaced(bend(1.5))
    hole = np.linalg.norm(xy - SIDE_UM / 2, axis=1) < 35
    moving = drawn(truth.points(xy[~hole]))
    found = deform(NuclearMap.of(drawn(xy)), NuclearMap.of(moving), Transform.identity())
    error = np.linalg.norm(found.points(xy) - truth.points(xy), axis=1)
    assert np.median(error[hole]) < 2.0


def test_parts_beyond_the_moving_slide_are_left_alone() -> None:
    xy = nuclei()
    moved = turn(0).then(Transform.affine(np.array([[1, 0, -150.0], [0, 1, 0], [0, 0, 1.0]])))
    truth = Transform.displaced(bend(2.0)).then(moved)
    moving = drawn(truth.points(xy), side_um=SIDE_UM)
    found = deform(NuclearMap.of(drawn(xy)), NuclearMap.of(moving), moved)
    seen = (truth.points(xy) > 15).all(1) & (xy < SIDE_UM - 15).all(1) & (xy[:, 1] > 15)
    error = np.linalg.norm(found.points(xy) - truth.points(xy), axis=1)
    assert np.median(error[seen]) < 0.2
    assert np.abs(found.points(xy) - moved.points(xy)).max() < 12


def test_small_tiles_and_large_ones_give_one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    xy = nuclei()
    truth = Transform.displaced(bend(2.0))
    maps = NuclearMap.of(drawn(xy)), NuclearMap.of(drawn(truth.points(xy)))
    whole = deform(*maps, Transform.identity())
    monkeypatch.setattr("regdata.registration.bend.deformation._TILE", 192)
    tiled = deform(*maps, Transform.identity())
    apart = np.linalg.norm(whole.points(xy) - tiled.points(xy), axis=1)
    assert np.median(apart) < 0.05


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    maps = NuclearMap.of(drawn(nuclei())), NuclearMap.of(drawn(nuclei()))
    deform(*maps, Transform.identity(), ROUNDS[:2], shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_rounds_grow_with_the_pixel() -> None:
    assert rounds_at(0.25) == ROUNDS
    coarse = rounds_at(1.0)
    assert [now.mpp for now in coarse] == [2 * now.mpp for now in ROUNDS]
    assert coarse[0].stiffness.bending == 16 * ROUNDS[0].stiffness.bending
    assert coarse[-1].stiffness.bending == 4 * ROUNDS[-1].stiffness.bending


def test_the_same_section_at_twice_the_pixel_is_found_twice_as_coarsely() -> None:
    xy = nuclei()
    field = bend(3.0)
    truth = Transform.displaced(field)
    large = Transform.displaced(
        Displacement(2 * field.origin_um, 2 * field.spacing_um, 2 * field.coefficients)
    )
    fixed, moving = drawn(xy), drawn(truth.points(xy))
    found = deform(
        NuclearMap.of(replace(fixed, mpp=1.0)),
        NuclearMap.of(replace(moving, mpp=1.0)),
        Transform.identity(),
        rounds_at(1.0),
    )
    error = np.linalg.norm(found.points(2 * xy) - large.points(2 * xy), axis=1)
    assert np.median(error) < 0.3


def test_pulling_is_right_to_a_hundredth_of_a_pixel() -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32)
    slope = Density(x + 2 * y, 0.65, np.ones((200, 200), np.bool_))
    shift = Transform.affine(np.array([[1.0, 0, 6.5], [0, 1, 3.25], [0, 0, 1]]))
    seen, inside = pulled(NuclearMap.of(slope), shift, Box(8, 8, 64, 64), 0.65)
    assert inside.all()
    assert np.abs(seen - (x[8:72, 8:72] + 10 + 2 * (y[8:72, 8:72] + 5))).max() < 0.03
    _, inside = pulled(NuclearMap.of(slope), shift, Box(150, 8, 64, 64), 0.65)
    assert inside[:, :40].all()
    assert not inside[:, 40:].any()
    assert not pulled(NuclearMap.of(slope), shift, Box(500, 8, 64, 64), 0.65)[1].any()


def test_a_streamed_map_is_that_in_memory(
    section, pair_of, linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regdata.registration.pose.density import dapi_density, he_density

    pair = pair_of(section, linear(10), (0.25, 0.5))
    overviews = he_density(pair.he, 0.5), dapi_density(pair.if_, 0, 0.5)
    box = Box(100, 100, 200, 200)
    kept = he_map(pair.he, 0.5, overviews[0]).part(box, 0.5)
    kept_if = moving_map(pair.if_, 0, 0.5, overviews[1]).part(box, 0.5)
    monkeypatch.setattr(nuclear_map, "_IN_MEMORY", 10)
    read = he_map(pair.he, 0.5, overviews[0]).part(box, 0.5)
    read_if = moving_map(pair.if_, 0, 0.5, overviews[1]).part(box, 0.5)
    assert np.corrcoef(kept.ravel(), read.ravel())[0, 1] > 0.999
    assert np.corrcoef(kept_if.ravel(), read_if.ravel())[0, 1] > 0.98
    assert abs(kept.mean() - read.mean()) < 0.1


def test_parts_without_tissue_are_known() -> None:
    density = drawn(nuclei())
    tissue = density.tissue.copy()
    tissue[:, 300:] = False
    half = NuclearMap.of(replace(density, tissue=tissue))
    assert half.shows(Box(0, 0, 100, 100), MPP)
    assert not half.shows(Box(160, 0, 50, 50), 1.0)
    assert not half.shows(Box(5000, 0, 50, 50), 1.0)
