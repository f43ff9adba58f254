import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement
from regdata.transforms.steps import Affine, Displaced
from regdata.transforms.transform import Transform

SEEDS = st.integers(0, 2**32 - 1)


def random_matrix(rng: np.random.Generator) -> np.ndarray:
    """Turn, scale within 20 %, shear, mirror half the time, shift."""
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[rng.choice([-1.0, 1.0]), rng.uniform(-0.1, 0.1)], [0, 1]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = scale * turn @ shear, rng.uniform(-500, 500, 2)
    return matrix


def random_field(rng: np.random.Generator) -> Displacement:
    """Fold-free: no partial derivative exceeds 0.4."""
    spacing = rng.uniform(16, 64)
    control = rng.uniform(-0.2 * spacing, 0.2 * spacing, (2, 12, 15))
    return Displacement(rng.uniform(-100, 100, 2), spacing, control)


def random_transform(seed: int) -> Transform:
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["affine", "field", "inverse"], rng.integers(1, 5))
    steps = {
        "affine": lambda: Affine(random_matrix(rng)),
        "field": lambda: Displaced(random_field(rng)),
        "inverse": lambda: Displaced(random_field(rng), inverted=True),
    }
    return Transform(tuple(steps[kind]() for kind in kinds))


def places(seed: int) -> np.ndarray:
    """Points on the fields of `random_field` and beyond them."""
    return np.random.default_rng(seed + 1).uniform(-800, 1200, (100, 2))


def test_steps_are_applied_first_to_last() -> None:
    ramp = np.tile(np.arange(6.0) * 10, (6, 1))  # x displacement: x itself
    double_x = Displacement(np.zeros(2), 10.0, np.stack([ramp, 0 * ramp]))
    shift = Affine(np.array([[1.0, 0, 5], [0, 1, 7], [0, 0, 1]]))
    at = np.array([[20.0, 20.0]])
    assert Transform((Displaced(double_x), shift)).points(at).round(9).tolist() == [[45, 27]]
    assert Transform((shift, Displaced(double_x))).points(at).round(9).tolist() == [[50, 27]]
    undone = Transform((Displaced(double_x, inverted=True),)).points(np.array([[44.0, 20.0]]))
    assert undone.round(9).tolist() == [[22, 20]]


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_the_inverse_takes_points_back(seed: int) -> None:
    transform, xy = random_transform(seed), places(seed)
    assert np.abs(transform.inverse().points(transform.points(xy)) - xy).max() < 1e-3
    assert np.abs(transform.points(transform.inverse().points(xy)) - xy).max() < 1e-3


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_jacobian_is_the_derivative(seed: int) -> None:
    transform, xy = random_transform(seed), places(seed)
    step = 1e-3
    ends = [xy + np.array(d) * step for d in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    right, left, down, up = (transform.points(end) for end in ends)
    expected = np.stack([right - left, down - up], axis=2) / (2 * step)
    wrong = np.abs(transform.jacobian(xy) - expected).max(axis=(1, 2)) > 1e-4
    assert wrong.sum() <= 1  # a point may lie on the kink where a field ends


@settings(deadline=None, max_examples=40)
@given(SEEDS, SEEDS, SEEDS)
def test_then_is_associative_and_one_after_the_other(a: int, b: int, c: int) -> None:
    one, two, three = random_transform(a), random_transform(b), random_transform(c)
    xy = places(a)
    whole = three.points(two.points(one.points(xy)))
    # an undone field ends within 1e-5 µm, and what follows may stretch that
    assert np.abs(one.then(two).then(three).points(xy) - whole).max() < 1e-3
    assert np.abs(one.then(two.then(three)).points(xy) - whole).max() < 1e-3


def test_neighbouring_matrices_become_one() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (Transform.affine(random_matrix(rng)) for _ in range(3))
    field = Transform.displaced(random_field(rng))
    chain = a.then(b).then(field).then(c).then(a)
    assert [type(step) for step in chain.steps] == [Affine, Displaced, Affine]
    assert np.allclose(a.then(b).matrix, b.matrix @ a.matrix)


def test_the_inverse_keeps_the_field_and_turns_the_chain() -> None:
    rng = np.random.default_rng(1)
    field, matrix = random_field(rng), random_matrix(rng)
    first, second = Transform((Affine(matrix), Displaced(field))).inverse().steps
    assert isinstance(first, Displaced)
    assert first.field is field
    assert first.inverted
    assert isinstance(second, Affine)
    assert np.allclose(second.matrix @ matrix, np.eye(3))


def test_identity() -> None:
    identity, xy = Transform.identity(), places(0)
    moved = identity.points(xy)
    assert np.array_equal(moved, xy)
    assert moved is not xy
    assert np.array_equal(identity.matrix, np.eye(3))
    assert np.array_equal(identity.jacobian(xy), np.broadcast_to(np.eye(2), (100, 2, 2)))
    assert identity.inverse() == identity


@pytest.mark.parametrize("shape", [(2,), (0, 2), (4, 2), (3, 5, 2)])
def test_any_number_of_points(shape: tuple[int, ...]) -> None:
    transform, xy = random_transform(5), np.full(shape, 3)
    assert transform.points(xy).shape == shape
    assert transform.jacobian(xy).shape == (*shape, 2)
    assert transform.inverse().points(xy).dtype == np.float64


def test_matrix_and_stored_form_of_affine_transforms() -> None:
    matrix = random_matrix(np.random.default_rng(3))
    transform = Transform.affine(matrix)
    assert transform.is_affine
    assert np.array_equal(transform.matrix, matrix)
    other = random_matrix(np.random.default_rng(4))
    chain = Transform((Affine(matrix), Affine(other)))
    assert np.allclose(chain.matrix, other @ matrix)
    assert np.array_equal(Transform.from_dict(transform.to_dict()).matrix, matrix)


def test_a_displacement_has_no_matrix() -> None:
    transform = Transform.displaced(random_field(np.random.default_rng(4)))
    assert not transform.is_affine
    with pytest.raises(RegdataError, match="expected an affine transform"):
        _ = transform.matrix


def test_a_chain_is_stored_and_read_back() -> None:
    rng = np.random.default_rng(4)
    chain = Transform.displaced(random_field(rng)).then(Transform.affine(random_matrix(rng)))
    again = Transform.from_dict(chain.inverse().to_dict())
    at = rng.uniform(0, 100, (20, 2))
    assert np.array_equal(again.points(at), chain.inverse().points(at))


def test_the_nearest_affine_map_of_a_bent_one() -> None:
    rng = np.random.default_rng(4)
    matrix = random_matrix(rng)
    size = np.array([400.0, 300.0])
    assert np.array_equal(Transform.affine(matrix).nearest_affine(size), matrix)
    bent = Transform.displaced(random_field(rng)).then(Transform.affine(matrix))
    at = rng.uniform(0, 1, (400, 2)) * size
    nearest = Transform.affine(bent.nearest_affine(size))

    def apart(other: Transform) -> float:
        return float(((other.points(at) - bent.points(at)) ** 2).mean())

    assert apart(nearest) < apart(Transform.affine(matrix))


@pytest.mark.parametrize(
    "matrix",
    [np.eye(2), np.eye(4), np.diag([1.0, 1.0, 2.0]), np.diag([1.0, np.nan, 1.0])],
)
def test_what_is_no_affine_map_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(RegdataError, match="expected a"):
        Transform.affine(matrix)


def test_a_flat_matrix_has_no_inverse() -> None:
    with pytest.raises(RegdataError, match="has an inverse"):
        Transform.affine(np.diag([1.0, 0.0, 1.0])).inverse()
