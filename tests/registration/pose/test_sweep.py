import cv2
import numpy as np
import pytest

from regdata.registration.pose.density import Density
from regdata.registration.pose.sweep import sweep

SIDE = 110


def density(values, mpp=2.0):
    return Density(values.astype(np.float32), mpp, np.ones(values.shape, bool))


def texture(seed):
    values = np.random.default_rng(seed).uniform(0, 1, (SIDE, SIDE))
    values = cv2.GaussianBlur(values, (0, 0), 3)
    return (values - values.min()) / np.ptp(values)


def turned(values, degrees, mirror, size, offset=(0.0, 0.0), scale=1.0):
    """The image under a known pose, and the pose (fixed µm to moving µm at 2 µm per pixel)."""
    a = np.deg2rad(degrees)
    flip = scale * np.diag([-1.0 if mirror else 1.0, 1.0])
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ flip
    pose = np.eye(3)
    pose[:2, :2] = linear
    middle = np.array([SIDE, SIDE])  # µm: half a side of 2 µm pixels
    pose[:2, 2] = np.array(size[::-1]) + offset - linear @ middle
    grid = np.array([[2.0, 0, 1], [0, 2, 1], [0, 0, 1]])
    index = np.linalg.inv(grid) @ pose @ grid
    return cv2.warpAffine(values.astype(np.float32), index[:2], size[::-1]), pose


def worst_um(found, pose):
    corners = np.array([[60, 60], [160, 60], [60, 160], [160, 160], [110, 110.0]])
    a, b = (corners @ m[:2, :2].T + m[:2, 2] for m in (found, pose))
    return np.linalg.norm(a - b, axis=1).max()


@pytest.mark.parametrize(
    ("degrees", "mirror", "size", "offset"),
    [
        (0, False, (SIDE, SIDE), (0, 0)),
        (90, True, (SIDE, SIDE), (14, -8)),
        (180, False, (140, 120), (-10, 6)),
        (63, True, (160, 170), (0, 20)),
        (251, False, (100, 130), (4, 4)),
    ],
)
def test_a_known_pose_is_the_best(degrees, mirror, size, offset):
    image, pose = turned(texture(1), degrees, mirror, size, offset)
    best, *_ = sweep(density(texture(1)), density(image), mirror, keep=3)
    assert worst_um(best, pose) < 8  # half a step of 6 degrees at the corners, and a pixel
    wrong, *_ = sweep(density(texture(1)), density(image), not mirror, keep=3)
    assert worst_um(wrong, pose) > 30


def test_a_part_of_the_section_is_found():
    image, pose = turned(texture(1), 30, False, (170, 170))
    part = density(image[50:120, 40:120])
    pose[:2, 2] -= 80, 100
    best, *_ = sweep(density(texture(1)), part, mirrored=False, keep=1)
    assert worst_um(best, pose) < 8


@pytest.mark.parametrize(("scale", "mirror"), [(1.2, False), (1.15, True), (0.85, False)])
def test_a_scale_between_those_tried_is_found(scale, mirror):
    image, pose = turned(texture(1), 63, mirror, (150, 160), (6, 10), scale)
    scales = (0.83, 0.91, 1.1, 1.2)
    best, *_ = sweep(density(texture(1)), density(image), mirror, 3, scales)
    assert worst_um(best, pose) < 14  # as above, and 5 % of scale
    wrong, *_ = sweep(density(texture(1)), density(image), not mirror, 3, scales)
    assert worst_um(wrong, pose) > 30


def test_kept_rotations_are_no_neighbours():
    found = sweep(density(texture(1)), density(texture(2)), mirrored=False, keep=4)
    angles = [np.rad2deg(np.arctan2(m[1, 0], m[0, 0])) for m in found]
    assert len(found) == 4
    for i, a in enumerate(angles):
        for b in angles[:i]:
            assert abs((a - b + 180) % 360 - 180) > 6.5


def test_empty_images_do_no_harm():
    empty = density(np.zeros((SIDE, SIDE)))
    for found in sweep(empty, empty, mirrored=True, keep=2):
        assert np.isfinite(found).all()
