import numpy as np
import pytest

from regdata.registration.pose.affine import Descent, refined
from regdata.registration.pose.density import dapi_density, he_density
from regdata.transforms.transform import Transform

SIMILARITY = Descent(affine=False, samples=20_000, iterations=60, first=1.0, smallest=0.01)
AFFINE = Descent(affine=True, samples=40_000, iterations=100, first=0.5, smallest=0.005)


@pytest.fixture(scope="module")
def pair(section, pair_of, linear):
    return pair_of(section, linear(25, mirror=True, scale=1.02, shear=0.02))


@pytest.fixture(scope="module")
def densities(pair):
    return he_density(pair.he, 1.0), dapi_density(pair.if_, 0, 1.0)


def off(matrix, degrees, shift):
    """A start near a pose: turned on the H&E side, shifted on the IF side."""
    a = np.deg2rad(degrees)
    start = np.eye(3)
    start[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    moved = matrix @ start
    moved[:2, 2] += shift
    return moved


def test_a_similarity_then_an_affine_reach_the_truth(pair, densities):
    start = off(pair.he_to_if, 1.0, (3, -2))
    nearer = refined(*densities, start, 2.0, SIMILARITY)
    found = refined(*densities, nearer, 1.0, AFFINE)
    before, near, after = (
        np.median(pair.error_um(Transform.affine(m))) for m in (start, nearer, found)
    )
    assert before > 2.5
    assert near < 0.5 * before
    assert after < 0.15  # µm are ours: an origin half a pixel off would be 0.5


def test_a_similarity_keeps_angles(pair, densities):
    start = np.eye(3)
    start[:2, :2] = np.diag([-1, 1])
    start[:2, 2] = 300, 10
    change = np.linalg.inv(start) @ refined(*densities, start, 2.0, SIMILARITY)
    linear = change[:2, :2]
    assert np.allclose(linear.T @ linear, np.eye(2) * np.linalg.det(linear), atol=1e-6)


def test_runs_repeat_to_the_last_digit(pair, densities):
    start = off(pair.he_to_if, 0.5, (1, 1))
    first, second = (refined(*densities, start, 2.0, SIMILARITY) for _ in range(2))
    assert np.array_equal(first, second)


def test_without_overlap_the_start_comes_back_in_silence(pair, densities, capfd):
    far = off(pair.he_to_if, 0, (5000, 0))
    assert np.array_equal(refined(*densities, far, 2.0, SIMILARITY), far)
    assert capfd.readouterr().err == ""
