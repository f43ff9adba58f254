import math

import cv2
import numpy as np
import pytest

from regdata.simulate.pull import pulled, source
from regdata.simulate.warp import Warp, elastic, frame, similarity
from regdata.slides.slide import Box

HE_MPP = 0.25


def centroid(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]] + 0.5
    return np.array([(plane * x).sum(), (plane * y).sum()]) / plane.sum()


@pytest.mark.parametrize(
    ("rotation", "mirror", "scale", "if_mpp"),
    [(0, False, 1, 0.25), (33, False, 1, 0.325), (90, True, 1, 0.25), (200, True, 1.1, 0.5)],
)
@pytest.mark.parametrize("dot", [(60.5, 40.5), (200.5, 170.5)])
def test_a_dot_lands_where_the_warp_says(rotation, mirror, scale, if_mpp, dot):
    image = np.zeros((1, 220, 260), np.uint16)
    image[0, int(dot[1]), int(dot[0])] = 60_000
    image[0] = cv2.GaussianBlur(image[0], (0, 0), 2.5)
    loose = elastic(similarity(rotation, mirror, scale), 2, 150, np.random.default_rng(1))
    warp, size_um = frame(loose, (260 * HE_MPP, 220 * HE_MPP), (3, 0), 2)
    box = Box(0, 0, *(math.ceil(side / if_mpp) for side in size_um))
    seen = pulled(image, source(warp, box, if_mpp, HE_MPP))[0]
    expected = warp.points(np.array([dot]) * HE_MPP)[0] / if_mpp
    assert centroid(seen) == pytest.approx(expected, abs=0.05)


def test_nothing_to_do_changes_nothing():
    image = np.random.default_rng(0).integers(0, 60_000, (2, 70, 50)).astype(np.uint16)
    identity = Warp.affine(np.eye(3))
    seen = pulled(image, source(identity, Box(0, 0, 50, 70), HE_MPP, HE_MPP))
    assert np.array_equal(seen, image)


def test_a_block_is_a_part_of_the_whole():
    warp = elastic(similarity(20, False, 1), 2, 300, np.random.default_rng(2))
    whole = source(warp, Box(0, 0, 300, 200), 0.3, HE_MPP)
    part = source(warp, Box(64, 100, 90, 80), 0.3, HE_MPP)
    assert np.abs(part - whole[:, 100:180, 64:154]).max() < 0.05


def test_positions_between_the_nodes_are_exact_enough():
    warp = elastic(similarity(20, False, 1), 1.5, 500, np.random.default_rng(3))
    xy = source(warp, Box(1000, 500, 100, 60), 0.325, HE_MPP)
    y, x = np.mgrid[500:560, 1000:1100] + 0.5
    exact = warp.inverse_points(np.stack([x, y], -1) * 0.325) / HE_MPP
    assert np.abs(xy - exact.transpose(2, 0, 1)).max() < 0.01


@pytest.mark.parametrize("shift", [(-5000, 0), (5000, 0), (0, 5000), (-30, -5000)])
def test_outside_is_zero(shift):
    xy = np.full((2, 5, 4), 3.0, np.float32) + np.array(shift, np.float32)[:, None, None]
    assert pulled(np.full((1, 20, 30), 9, np.uint16), xy).tolist() == np.zeros((1, 5, 4)).tolist()
