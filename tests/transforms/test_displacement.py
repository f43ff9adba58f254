import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement

ORIGIN, SPACING = np.array([-37.0, 12.5]), 20.0


def random_field(seed: int, steep: float = 0.2, kind: type = np.float64) -> Displacement:
    """Fold-free up to a steepness of 0.25: no partial derivative then exceeds twice that."""
    rng = np.random.default_rng(seed)
    control = rng.uniform(-steep * SPACING, steep * SPACING, (2, 9, 12))
    return Displacement(ORIGIN, SPACING, control.astype(kind))


def places(seed: int, count: int = 200, beyond: float = 0.0) -> np.ndarray:
    """Points within the spline's range, or up to `beyond` control points past it."""
    low, high = np.array([1.0, 1.0]) - beyond, np.array([10.0, 7.0]) + beyond
    return ORIGIN + SPACING * np.random.default_rng(seed).uniform(low, high, (count, 2))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_displacement_is_the_cubic_b_spline(kind: type) -> None:
    field, xy = random_field(1, kind=kind), places(2)
    index = ((xy - ORIGIN) / SPACING).T[::-1]
    expected = [
        ndimage.map_coordinates(plane.astype(float), index, order=3, prefilter=False)
        for plane in field.coefficients
    ]
    assert np.allclose(field.displacement(xy), np.stack(expected, 1), atol=1e-9)


def test_a_control_point_lies_at_origin_plus_spacing_times_column_and_row() -> None:
    # a spline through control points on a plane is that plane
    rows, cols = np.mgrid[:5, :8]
    x, y = ORIGIN[0] + SPACING * cols, ORIGIN[1] + SPACING * rows
    field = Displacement(ORIGIN, SPACING, np.stack([0.1 * x - 0.2 * y, 0.03 * x + 0.4 * y + 5]))
    at = np.array([[0.0, 40.0], [60.0, 50.0]])
    expected = at @ np.array([[0.1, -0.2], [0.03, 0.4]]).T + (0, 5)
    assert np.allclose(field.displacement(at), expected)
    assert np.allclose(field.jacobian(at), np.array([[1.1, -0.2], [0.03, 1.4]]))


def test_points_outside_move_as_the_nearest_point_inside() -> None:
    field = random_field(3)
    low, high = ORIGIN + SPACING, ORIGIN + SPACING * np.array([10.0, 7.0])
    outside = np.array([[-1e6, 80.0], [100.0, 1e6], [1e6, -1e6], [np.inf, 50.0]])
    nearest = outside.clip(low, high)
    assert np.array_equal(field.displacement(outside), field.displacement(nearest))
    inside = field.jacobian(nearest)
    left, below, corner, _ = field.jacobian(outside)
    assert left[:, 0].tolist() == [1, 0]
    assert np.array_equal(left[:, 1], inside[0][:, 1])
    assert below[:, 1].tolist() == [0, 1]
    assert np.array_equal(below[:, 0], inside[1][:, 0])
    assert np.array_equal(corner, np.eye(2))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_jacobian_is_the_derivative(seed: int) -> None:
    field, xy = random_field(seed), places(seed, beyond=3.0)
    step = 1e-4
    ends = [xy + np.array(d) * step for d in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    right, left, down, up = (end + field.displacement(end) for end in ends)
    expected = np.stack([right - left, down - up], axis=2) / (2 * step)
    # at the outer edge the derivative jumps
    edges = np.stack([ORIGIN + SPACING, ORIGIN + SPACING * np.array([10.0, 7.0])])
    smooth = (np.abs(xy[:, None] - edges) > 2 * step).all(axis=(1, 2))
    assert np.allclose(field.jacobian(xy)[smooth], expected[smooth], atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_undone_finds_where_points_came_from(seed: int, kind: type) -> None:
    field, xy = random_field(seed, 0.24, kind), places(seed, beyond=3.0)
    assert np.abs(field.undone(xy + field.displacement(xy)) - xy).max() < 1e-5


def test_undone_where_the_field_all_but_folds() -> None:
    # with whole steps Newton's method never ends for one point in fifty
    cols = np.mgrid[:40, :120][1] * 2.0
    steep = np.stack([0.99 * 16 * np.sin(cols / 16), 0 * cols])
    field = Displacement.through(steep, np.zeros(2), 2.0)
    assert 0 < field.min_jacobian() < 0.02
    xy = np.random.default_rng(0).uniform(-5, 240, (3000, 2))
    assert np.abs(field.undone(xy + field.displacement(xy)) - xy).max() < 1e-5


def test_undone_says_where_the_field_folds() -> None:
    samples = np.zeros((2, 9, 9))
    samples[0] = 30.0 * np.sin(np.arange(9) * np.pi / 2)  # turns back between columns 1 and 3
    field = Displacement.through(samples, np.zeros(2), 10.0)
    folded = np.array([[20.0, 40.0]])
    assert np.linalg.det(field.jacobian(folded)) < 0
    with pytest.raises(RegdataError, match=r"folds near \(20\.0, 40\.0\) µm.*1 of 1 points; use"):
        field.undone(folded)


def test_places_that_are_no_number_stay_so() -> None:
    field = random_field(4)
    gaps = np.array([[np.nan, 50.0], [20.0, np.nan]])
    assert np.isnan(field.displacement(gaps)).all()
    assert np.isnan(field.jacobian(gaps)).all()
    assert np.array_equal(field.undone(gaps), gaps, equal_nan=True)


@pytest.mark.parametrize("shape", [(2,), (0, 2), (5, 2), (3, 4, 2)])
def test_any_number_of_points(shape: tuple[int, ...]) -> None:
    field = random_field(5)
    xy = np.full(shape, 30.0)
    assert field.displacement(xy).shape == field.undone(xy).shape == shape
    assert field.jacobian(xy).shape == (*shape, 2)


def test_other_layouts_and_types_of_points() -> None:
    field, xy = random_field(6), places(7).round()
    expected = field.displacement(xy)
    assert np.array_equal(field.displacement(np.asfortranarray(xy)), expected)
    assert np.array_equal(field.displacement(xy.astype(np.int64)), expected)


@pytest.mark.parametrize("size", [(2, 2), (2, 7), (6, 3), (30, 41)])
def test_through_takes_the_samples_at_the_nodes(size: tuple[int, int]) -> None:
    samples = np.random.default_rng(1).normal(0, 20, (2, *size))
    field = Displacement.through(samples, ORIGIN, SPACING)
    rows, cols = np.mgrid[-3 : size[0] + 3, -3 : size[1] + 3]
    nodes = ORIGIN + SPACING * np.stack([cols, rows], axis=2)
    expected = np.pad(samples, ((0, 0), (3, 3), (3, 3)), mode="edge")  # the border goes on
    assert np.abs(field.displacement(nodes) - np.moveaxis(expected, 0, 2)).max() < 1e-9


def test_through_follows_a_wave_between_the_nodes() -> None:
    rows, cols = np.mgrid[:60, :60] * 5.0
    wave = np.stack([6 * np.sin(cols / 16), 6 * np.cos(rows / 16)])
    field = Displacement.through(wave, np.zeros(2), 5.0)
    xy = np.random.default_rng(2).uniform(40, 250, (500, 2))
    expected = 6 * np.stack([np.sin(xy[:, 0] / 16), np.cos(xy[:, 1] / 16)], 1)
    assert np.abs(field.displacement(xy) - expected).max() < 1e-3  # linear would miss by 0.07


@pytest.mark.parametrize("size", [(2, 2), (3, 20), (40, 50)])
def test_through_keeps_a_slope_up_to_the_edge(size: tuple[int, int]) -> None:
    rows, cols = np.mgrid[: size[0], : size[1]] * 5.0
    field = Displacement.through(np.stack([0.3 * cols, 0.1 * rows - cols]), np.zeros(2), 5.0)
    xy = np.random.default_rng(3).uniform(0, 5.0 * (np.array(size[::-1]) - 1), (500, 2))
    expected = np.stack([0.3 * xy[:, 0], 0.1 * xy[:, 1] - xy[:, 0]], 1)
    assert np.abs(field.displacement(xy) - expected).max() < 1e-9


def test_min_jacobian_of_a_wave() -> None:
    cols = np.mgrid[:40, :60][1] * 5.0
    for crest, expected in ((8.0, 0.5), (20.0, -0.25)):
        wave = np.stack([crest * np.sin(cols / 16), 0 * cols])
        found = Displacement.through(wave, np.zeros(2), 5.0).min_jacobian()
        assert found == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_min_jacobian_looks_at_every_cell(side: str) -> None:
    turned = np.zeros((6, 9))
    turned[:, 7:] = -6.0, -12.0  # folds in the last column of cells only
    if side in ("left", "top"):
        turned = -turned[:, ::-1]
    across = side in ("top", "bottom")
    control = np.stack([0 * turned.T, turned.T] if across else [turned, 0 * turned])
    field = Displacement(np.zeros(2), 5.0, control)
    # at the inner end of that cell the slope is 0 by now, at its outer end -6 / 5
    assert field.min_jacobian() == pytest.approx(1 - 1.2, abs=1e-9)


def test_min_jacobian_looks_outside_too() -> None:
    # inside both axes turn back, which is half a turn; outside only one does, which is a fold
    rows, cols = np.mgrid[:6, :6]
    field = Displacement(np.zeros(2), 1.0, np.stack([-2.0 * cols, -2.0 * rows]))
    inside = np.linalg.det(field.jacobian(np.array([2.5, 2.5])))
    assert inside == pytest.approx(1)
    assert field.min_jacobian() == pytest.approx(-1)


@pytest.mark.parametrize(
    ("control", "spacing", "origin", "message"),
    [
        (np.zeros((2, 3, 9)), 1.0, [0.0, 0.0], r"4 x 4 or more, got \(2, 3, 9\)"),
        (np.zeros((3, 9, 9)), 1.0, [0.0, 0.0], r"got \(3, 9, 9\)"),
        (np.zeros((9, 9)), 1.0, [0.0, 0.0], r"got \(9, 9\)"),
        (np.zeros((2, 9, 9), np.int64), 1.0, [0.0, 0.0], "float32 or float64, got int64"),
        (np.full((2, 9, 9), np.nan), 1.0, [0.0, 0.0], "finite"),
        (np.zeros((2, 9, 9)), 0.0, [0.0, 0.0], "positive spacing"),
        (np.zeros((2, 9, 9)), np.nan, [0.0, 0.0], "positive spacing"),
        (np.zeros((2, 9, 9)), 1.0, [0.0], "origin"),
        (np.zeros((2, 9, 9)), 1.0, [0.0, np.inf], "origin"),
    ],
)
def test_what_is_no_field_is_refused(
    control: np.ndarray, spacing: float, origin: list[float], message: str
) -> None:
    with pytest.raises(RegdataError, match=message):
        Displacement(np.array(origin), spacing, control)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(RegdataError, match=r"2 x 2 or more, got \(2, 1, 5\)"):
        Displacement.through(np.zeros((2, 1, 5)), np.zeros(2), 1.0)
