import cv2
import numpy as np
import pytest

from regdata.registration.pose.density import Density
from regdata.registration.pose.similarity import (
    Likeness,
    correlation,
    coverage,
    fisher_z,
    likeness,
    pulled,
)


def density(values, mpp=1.0):
    return Density(values.astype(np.float32), mpp, np.ones(values.shape, bool))


def texture(seed, shape=(150, 160), sigma=3.0):
    values = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), sigma)
    return values / values.std()


def shift(x, y):
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix


def test_pulled_looks_up_he_points_on_the_if():
    moving = density(np.arange(40.0 * 50).reshape(40, 50))
    values, inside = pulled(moving, density(np.zeros((30, 20))), shift(5, 3))
    assert np.array_equal(values, moving.values[3:33, 5:25])
    assert inside.all()
    values, inside = pulled(moving, density(np.zeros((60, 60))), shift(0, 0))
    assert np.array_equal(inside, np.pad(np.ones((40, 50), bool), ((0, 20), (0, 10))))


def test_pulled_keeps_places_between_pixel_sizes():
    x = np.tile((np.arange(80) + 0.5) * 0.5, (60, 1))
    values, inside = pulled(density(x, 0.5), density(np.zeros((15, 20)), 2.0), shift(0, 0))
    assert values[inside] == pytest.approx(
        np.tile((np.arange(20) + 0.5) * 2.0, (15, 1))[inside], abs=1e-4
    )
    assert inside.mean() > 0.8


def test_correlation_is_that_of_the_tissue_in_common():
    a, b = texture(1), 0.5 * texture(1) + texture(2)
    mask = np.zeros(a.shape, bool)
    mask[20:130, 40:150] = True
    fixed = Density(a.astype(np.float32), 1.0, mask)
    found, pixels = correlation(fixed, density(b), shift(10, 0))
    ours, theirs = a[20:130, 40:149], b[20:130, 50:159]
    assert pixels == ours.size + 110  # the last column in view is of both
    assert found == pytest.approx(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1], abs=0.01)


def test_nothing_in_common_correlates_with_nothing():
    fixed, moving = density(texture(1)), density(texture(1))
    assert correlation(fixed, moving, shift(1000, 0)) == (0.0, 0)
    assert correlation(fixed, density(np.zeros((150, 160))), shift(0, 0))[0] == 0


@pytest.mark.parametrize(("x", "expected"), [(0, 1.0), (80, 0.5), (120, 0.25), (1000, 0.0)])
def test_coverage_counts_detail_in_common(x, expected):
    even = density(np.ones((150, 160)))
    assert coverage(even, even, shift(x, 0)) == pytest.approx(expected, abs=0.02)


def test_coverage_of_a_small_field_is_full():
    whole, part = density(np.ones((150, 160))), density(np.ones((50, 40)))
    assert coverage(whole, part, shift(-60, -60)) == pytest.approx(1, abs=0.06)
    assert coverage(part, whole, shift(60, 60)) == pytest.approx(1, abs=0.06)


def test_empty_glass_in_common_does_not_count():
    values = np.zeros((150, 160))
    values[:, 100:] = 1
    assert coverage(density(values), density(values), shift(-50, 0)) == pytest.approx(1, abs=0.02)
    flipped = density(values[:, ::-1])  # stained on the left
    assert coverage(density(values), flipped, shift(-110, 0)) == pytest.approx(5 / 6, abs=0.02)
    assert coverage(density(values), flipped, shift(110, 0)) == 0


def test_the_right_pose_stands_out_and_others_do_not():
    fixed = density(texture(1, (300, 300)))
    moving = density(texture(1, (300, 300)) + texture(2, (300, 300)))
    right = likeness(fixed, moving, shift(0, 0), (20, 160))
    assert right.correlation == pytest.approx(0.707, abs=0.05)
    assert right.z > 15
    assert abs(likeness(fixed, moving, shift(60, -15), (20, 160)).z) < 4
    assert abs(likeness(fixed, density(texture(3, (300, 300))), shift(0, 0), (20, 160)).z) < 4


def test_shapes_that_agree_everywhere_do_not_stand_out():
    slope = np.tile(np.linspace(0, 1, 300), (300, 1)) + 0.05 * texture(1, (300, 300))
    other = np.tile(np.linspace(0, 1, 300), (300, 1)) + 0.05 * texture(2, (300, 300))
    found = likeness(density(slope), density(other), shift(0, 0), (20, 160))
    assert found.correlation > 0.9
    assert found.z < 5


def test_too_small_a_field_is_no_evidence():
    tiny = density(texture(1, (12, 12)))
    assert likeness(tiny, tiny, shift(0, 0), (20, 160)).z < 5


def test_z_and_the_correlation_at_it_are_inverse():
    found = Likeness(0.6, 0.02, 0.05)
    assert found.at_z(found.z) == pytest.approx(0.6)
    assert found.at_z(40) < 1


def test_fishers_z_spreads_alike_whatever_the_correlation():
    rng = np.random.default_rng(0)
    spreads = []
    for r in (0.0, 0.9):
        a = rng.normal(size=(4000, 50))
        b = r * a + np.sqrt(1 - r * r) * rng.normal(size=a.shape)
        found = [np.corrcoef(*pair)[0, 1] for pair in zip(a, b, strict=True)]
        spreads.append(fisher_z(np.array(found)).std())
    assert spreads == pytest.approx([47**-0.5] * 2, rel=0.05)


def test_fishers_z_of_full_correlation_is_finite():
    assert float(fisher_z(1.0)) == -float(fisher_z(-1.0)) == pytest.approx(3.8, abs=0.01)
    assert np.isnan(fisher_z(np.array([np.nan, 0.5]))).tolist() == [True, False]
