import numpy as np
import pytest

from regdata.registration.pose import coarse
from regdata.registration.pose.coarse import coarse_poses
from regdata.registration.pose.density import dapi_density, he_density
from regdata.transforms.transform import Transform

NEAR_UM = 4.0  # what the affine step starts from


def densities(pair, mpp=1.0):
    return he_density(pair.he, mpp), dapi_density(pair.if_, 0, mpp)


def error_um(pair, pose):
    return np.median(pair.error_um(Transform.affine(pose.matrix)))


@pytest.mark.parametrize(
    ("degrees", "mirror", "scale", "field"),
    [
        (0, False, 1.0, 1.0),
        (212, True, 1.03, 1.2),
        (75, False, 0.97, 0.6),
        (300, False, 1.2, 1.3),
        (130, True, 1.2, 0.8),
        (20, False, 0.82, 0.7),
    ],
    ids=["as it is", "any", "third", "large", "large half", "small half"],
)
def test_the_right_mirror_state_is_the_better_one(
    section, pair_of, linear, degrees, mirror, scale, field
):
    pair = pair_of(section, linear(degrees, mirror, scale), field=field)
    poses = coarse_poses(*densities(pair))
    right, wrong = poses[mirror], poses[not mirror]
    assert right is not None
    assert error_um(pair, right) < NEAR_UM
    assert wrong is None or wrong.score < right.score / 2


def test_a_wrong_pixel_size_is_found_without_features(section, pair_of, linear, monkeypatch):
    monkeypatch.setattr(coarse, "feature_pose", lambda fixed, moving, mirrored: None)
    pair = pair_of(section, linear(47, True, 1.2), field=1.3)
    _, mirrored = coarse_poses(*densities(pair, 2.0))
    assert mirrored is not None
    assert error_um(pair, mirrored) < NEAR_UM


def test_other_scales_are_tried_only_where_no_pose_is_clear(section, pair_of, linear, monkeypatch):
    asked = []

    def counted(*arguments):
        asked.append(arguments[4:])
        return []

    monkeypatch.setattr(coarse, "sweep", counted)
    coarse_poses(*densities(pair_of(section, linear(10))))
    assert asked == [(), ()]


def test_progress_goes_up_to_one(section, other_section, pair_of, linear, monkeypatch):
    monkeypatch.setattr(coarse, "sweep", lambda *arguments: [])
    shares = []
    coarse_poses(*densities(pair_of(section, linear(0), other=other_section)), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
