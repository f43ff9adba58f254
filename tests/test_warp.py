from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.slide import Box, Slide
from regdata.transform import Transform
from regdata.warp import warped


def slide(image, mpp, levels=1, channels=("DAPI", "CD3"), asked=None):
    """A pyramid of 2x2 means around a (C, h, w) array; `asked` collects the boxes read."""
    planes = [image]
    for _ in range(levels - 1):
        c, h, w = planes[-1].shape
        means = planes[-1].reshape(c, h // 2, 2, w // 2, 2).mean((2, 4))
        planes.append(means.astype(image.dtype))

    def pixels(level, box, wanted):
        if asked is not None:
            asked.append(box)
        return planes[level][list(wanted), box.y : box.y + box.h, box.x : box.x + box.w]

    sizes = tuple((plane.shape[2], plane.shape[1]) for plane in planes)
    return Slide(Path("a.tif"), sizes, mpp, channels[: len(image)], image.dtype, pixels)


def he_slide(size, mpp, levels=1):
    return slide(np.zeros((1, size, size), np.uint8), mpp, levels)


def turn(degrees, scale=1.0, mirror=False, shift=(0.0, 0.0)):
    a = np.deg2rad(degrees)
    matrix = np.eye(3)
    flip = np.diag([-1.0 if mirror else 1.0, 1.0])
    matrix[:2, :2] = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ flip
    matrix[:2, 2] = shift
    return Transform(matrix)


def noise(size, dtype=np.uint16, sigma=2):
    image = np.random.default_rng(0).normal(0, sigma, (2, size, size))
    image = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in image])
    return (8_000 * (1 + image).clip(0)).astype(dtype)


def dots(size, at_px, sigma):
    """One (1, size, size) image of Gaussian dots; places in pixels, corner origin."""
    y, x = np.mgrid[:size, :size] + 0.5
    image = np.zeros((size, size))
    for dot_x, dot_y in at_px:
        image += np.exp(-((x - dot_x) ** 2 + (y - dot_y) ** 2) / (2 * sigma**2))
    return (image * 50_000)[None].astype(np.uint16)


MIDDLE = turn(0, shift=(-50, -50))
POSES = {
    "shift": turn(0, shift=(3.3, -2.1)),
    "quarter": turn(90, shift=(100, 0)),
    "mirror": turn(180, mirror=True, shift=(1.7, 100)),
    "any": Transform(turn(33, 1.03, False, (52, 47)).matrix @ MIDDLE.matrix),
    "mirrored any": Transform(turn(-71, 0.97, True, (48, 53)).matrix @ MIDDLE.matrix),
}


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("mpps", [(0.25, 0.25), (0.25, 0.65), (0.5, 0.325), (1.0, 0.25)])
def test_pulled_dots_lie_where_pushed_points_do(pose, mpps):
    he_mpp, if_mpp = mpps
    at_um = np.array([[35.0, 40.2], [63.1, 38.7], [47.3, 66.6]])
    if_ = slide(dots(round(100 / if_mpp), at_um / if_mpp, 1.5 / if_mpp), if_mpp)
    he = he_slide(round(100 / he_mpp), he_mpp)
    seen = warped(if_, he, POSES[pose]).read((0, 0), he.size)[0].astype(float)
    expected = POSES[pose].inverse().points(at_um) / he_mpp
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
    for dot in expected:
        near = np.hypot(x - dot[0], y - dot[1]) < 7 / he_mpp
        weight = seen * near
        centroid = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert centroid == pytest.approx(dot, abs=0.1)


def test_identity_changes_nothing():
    if_ = slide(noise(130), 0.25)
    seen = warped(if_, he_slide(130, 0.25), Transform.identity())
    assert np.array_equal(seen.read((0, 0), (130, 130)), if_.read((0, 0), (130, 130)))


@pytest.mark.parametrize(
    "mpps", [(0.25, 0.5), (0.25, 0.65), (0.5, 0.325), (1.0, 0.25), (2.0, 0.25)]
)
def test_no_half_pixel_is_lost_between_pixel_sizes(mpps):
    he_mpp, if_mpp = mpps
    side = round(120 / if_mpp)
    ramp = np.broadcast_to((np.arange(side) + 0.5) * if_mpp, (1, side, side)).astype(np.float32)
    he = he_slide(round(100 / he_mpp), he_mpp)
    row = warped(slide(ramp, if_mpp), he, Transform.identity()).read((0, 0), he.size)[0][20]
    inside = slice(5, -5)
    expected = (np.arange(len(row)) + 0.5) * he_mpp
    wrong = (row - expected)[inside] / if_mpp
    assert np.abs(wrong).max() < 0.05  # OpenCV's cubic kernel bends a ramp by as much
    assert abs(wrong.mean()) < 0.005


@pytest.mark.parametrize("he_mpp", [0.25, 0.5, 1.1])
@pytest.mark.parametrize("levels", [1, 3])
def test_tiles_fit_together(he_mpp, levels):
    size = round(100 / he_mpp)
    if_ = slide(noise(400, np.float32), 0.25, levels)
    seen = warped(if_, he_slide(size, he_mpp), POSES["any"])
    whole = seen.read((0, 0), (size, size))
    tiles = np.zeros_like(whole)
    step = 37
    for y in range(0, size, step):
        for x in range(0, size, step):
            w, h = min(step, size - x), min(step, size - y)
            tiles[:, y : y + h, x : x + w] = seen.read((x, y), (w, h))
    assert whole.max() > 1000
    assert np.abs(tiles - whole).max() < 1e-3 * whole.max()


def test_a_coarse_level_agrees_with_the_fine_one():
    he = he_slide(256, 0.25, levels=3)
    seen = warped(slide(noise(256, np.float32, 5), 0.25, 3), he, turn(0, shift=(0.9, 1.6)))
    assert seen.sizes == he.sizes
    fine = seen.pixels(0, Box(0, 0, 256, 256), (0, 1))
    for level, factor in ((1, 2), (2, 4)):
        side = 256 // factor
        coarse = seen.pixels(level, Box(0, 0, side, side), (0, 1))
        means = fine.reshape(2, side, factor, side, factor).mean((2, 4))
        inner = np.s_[:, 8:-8, 8:-8]
        assert np.corrcoef(coarse[inner].ravel(), means[inner].ravel())[0, 1] > 0.99
        assert coarse[inner].mean() == pytest.approx(means[inner].mean(), rel=0.01)


def test_fine_patterns_are_averaged_not_aliased():
    checks = np.indices((400, 400)).sum(0) % 2 * 200.0
    he = he_slide(60, 1.1)
    seen = warped(slide(checks[None].astype(np.float32), 0.25), he, turn(7, shift=(12, 5)))
    assert seen.read((5, 5), (50, 50))[0] == pytest.approx(100, abs=8)


def test_outside_the_if_slide_is_zero_and_its_edge_is_kept():
    image = np.full((1, 80, 80), 900, np.uint16)
    seen = warped(slide(image, 0.5), he_slide(200, 0.5), turn(0, shift=(-25, -25)))
    expected = np.zeros((200, 200), np.uint16)
    expected[50:130, 50:130] = 900
    assert np.array_equal(seen.read((0, 0), (200, 200))[0], expected)


def test_a_slide_that_is_out_of_view_reads_as_zero():
    far = warped(slide(noise(80), 0.5), he_slide(100, 0.5), turn(0, shift=(5000, 0)))
    assert not far.read((0, 0), (100, 100)).any()


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.float64]
)
def test_channels_and_type_stay(dtype):
    image = (noise(90).astype(np.float64) / 200).astype(dtype)
    seen = warped(slide(image, 0.5), he_slide(90, 0.5), turn(10, shift=(8, -6)))
    assert seen.dtype == dtype
    both = seen.read((0, 0), (90, 90))
    assert both.dtype == dtype
    assert both.max() <= image.max() * 1.3
    second = seen.read((0, 0), (90, 90), channels=(1,))
    assert np.array_equal(second[0], both[1])
    assert not np.array_equal(both[0], both[1])


def test_it_is_read_like_any_slide():
    he = he_slide(256, 0.25, levels=2)
    seen = warped(slide(noise(256), 0.25), he, turn(0, shift=(1, 0)))
    assert (seen.size, seen.mpp, seen.channels) == (he.size, he.mpp, ("DAPI", "CD3"))
    assert seen.thumbnail(64).shape == (2, 64, 64)


def test_memory_is_bounded_by_blocks():
    asked = []
    big = np.zeros((1, 3000, 3000), np.uint8)
    seen = warped(slide(big, 0.25, asked=asked), he_slide(3000, 0.25), turn(30, shift=(300, 0)))
    seen.read((0, 0), (3000, 3000))
    assert len(asked) > 4
    assert max(box.w * box.h for box in asked) < 1500**2


def test_a_slide_without_pixel_size_is_refused():
    seen = warped(slide(noise(40), None), he_slide(40, 0.5), Transform.identity())
    with pytest.raises(RegdataError, match="--if-mpp"):
        seen.read((0, 0), (10, 10))
