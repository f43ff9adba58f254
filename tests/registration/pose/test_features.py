import numpy as np
import pytest

from regdata.registration.pose.density import dapi_density, he_density
from regdata.registration.pose.features import consensus, feature_pose
from regdata.transforms.transform import Transform


def matches(factor, shift, right, wrong, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.uniform(0, 500, right + wrong) + 1j * rng.uniform(0, 500, right + wrong)
    b = factor * a + shift + rng.normal(0, 0.5, len(a)) + 1j * rng.normal(0, 0.5, len(a))
    b[right:] = rng.uniform(0, 500, wrong) + 1j * rng.uniform(0, 500, wrong)
    return a, b


@pytest.mark.parametrize("angle", [0, 1.3, np.pi, 5])
@pytest.mark.parametrize(("right", "wrong"), [(40, 0), (40, 400)])
def test_the_majority_is_found_among_wrong_matches(angle, right, wrong):
    factor = 1.04 * np.exp(1j * angle)
    found = consensus(*matches(factor, 30 - 20j, right, wrong), near=3.0)
    assert found is not None
    assert abs(found[0] - factor) < 0.01
    assert abs(found[1] - (30 - 20j)) < 2.5


def test_a_scale_that_cannot_be_is_not_believed():
    assert consensus(*matches(1.4, 0, 40, 0), near=3.0) is None
    assert consensus(*matches(0.6, 0, 40, 0), near=3.0) is None


@pytest.mark.parametrize("scale", [0.82, 1.2])
def test_a_pixel_size_that_is_a_fifth_off_is_believed(scale):
    found = consensus(*matches(scale * 1j, 5, 40, 100), near=3.0)
    assert found is not None
    assert abs(found[0] - scale * 1j) < 0.01


def test_too_few_that_agree_are_no_majority():
    assert consensus(*matches(1, 0, 4, 0), near=3.0) is None
    found = consensus(*matches(1, 0, 0, 12), near=0.1)
    assert found is None


def test_the_same_matches_give_the_same_pose():
    a, b = matches(1j, 5, 20, 300)
    assert consensus(a, b, 3.0) == consensus(a, b, 3.0)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_pose_is_found_from_the_slides(section, pair_of, linear, mirror):
    pair = pair_of(section, linear(130, mirror, scale=1.03))
    fixed, moving = he_density(pair.he, 1.0), dapi_density(pair.if_, 0, 1.0)
    found = feature_pose(fixed, moving, mirror)
    assert found is not None
    assert np.median(pair.error_um(Transform.affine(found))) < 3
    wrong = feature_pose(fixed, moving, not mirror)
    assert wrong is None or np.median(pair.error_um(Transform.affine(wrong))) > 30


def test_images_without_features_give_no_pose(slide):
    even = np.full((3, 200, 200), 200, np.uint8)
    even[1] = 120
    he = he_density(slide(even, 0.5, "he.tif"), 1.0)
    assert feature_pose(he, he, mirrored=False) is None
