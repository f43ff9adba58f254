from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.slides.slide import Box, Slide
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform
from regdata.transforms.warp import warped


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
    return Transform.affine(matrix)


def bending(seed, spacing_um=8.0, smooth_um=12.0, least=0.6, side_um=130):
    """A random field that covers (-10, side) µm, as strong as its Jacobian allows."""
    count = round(side_um / spacing_um) + 3
    values = np.random.default_rng(seed).normal(size=(2, count, count))
    if smooth_um:
        values = ndimage.gaussian_filter(
            values, (0, smooth_um / spacing_um, smooth_um / spacing_um)
        )
    origin = np.array([-10.0, -10.0])
    strength = 5 / np.abs(values).max()
    while True:
        field = Displacement.through(values * strength, origin, spacing_um)
        if field.min_jacobian() >= least:
            return Transform.displaced(field)
        strength *= 0.9


def centres_um(size, mpp):
    """(h, w, 2) centres of all pixels in µm."""
    side = (np.arange(size) + 0.5) * mpp
    return np.stack(np.meshgrid(side, side), 2)


def places(size, mpp):
    """An IF slide that shows where it is: pixels hold their own x and y in µm."""
    return slide(centres_um(size, mpp).transpose(2, 0, 1).astype(np.float32), mpp)


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
    "any": Transform.affine(turn(33, 1.03, False, (52, 47)).matrix @ MIDDLE.matrix),
    "mirrored any": Transform.affine(turn(-71, 0.97, True, (48, 53)).matrix @ MIDDLE.matrix),
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


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    degrees=st.floats(0, 360),
    scale=st.floats(0.8, 1.2),
    mirror=st.booleans(),
    mpps=st.sampled_from([(0.25, 0.25), (0.25, 0.65), (0.65, 0.25), (0.5, 0.325)]),
)
def test_images_pulled_and_points_pushed_agree(seed, degrees, scale, mirror, mpps):
    he_mpp, if_mpp = mpps
    about = turn(0, shift=(-50, -50)).then(turn(degrees, scale, mirror, (50.3, 49.1)))
    he_to_if = bending(seed).then(about)
    he = he_slide(round(100 / he_mpp), he_mpp)
    shown = warped(places(round(100 / if_mpp), if_mpp), he, he_to_if).read((0, 0), he.size)
    shown = shown.transpose(1, 2, 0).astype(np.float64)  # where the IF slide was read, µm
    at = centres_um(he.size[0], he_mpp)
    true = he_to_if.points(at)
    inside = ((true > 5) & (true < 95)).all(2)  # the edge is repeated, no slope goes on there
    assert inside.mean() > 0.2
    assert np.abs(shown - true)[inside].max() < 0.01
    pushed = he_to_if.inverse().points(shown[inside])
    assert np.abs(pushed - at[inside]).max() < 0.01 / 0.5  # an inverse stretches by as much


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), mpps=st.sampled_from([(0.25, 0.25), (0.25, 0.65), (0.5, 0.325)]))
def test_a_smooth_picture_is_shown_as_computed(seed, mpps):
    he_mpp, if_mpp = mpps

    def brightness(um):
        x, y = um[..., 0], um[..., 1]
        return 30_000 + 9_000 * np.sin(x / 4.0) + 8_000 * np.cos(y / 5.0 + x / 9.0)

    he_to_if = bending(seed).then(turn(33, 0.9, False, (25, 15)))
    if_ = slide(brightness(centres_um(round(150 / if_mpp), if_mpp))[None].astype(np.uint16), if_mpp)
    he = he_slide(round(60 / he_mpp), he_mpp)
    shown = warped(if_, he, he_to_if).read((0, 0), he.size)[0].astype(float)
    true = he_to_if.points(centres_um(he.size[0], he_mpp))
    inside = ((true > 3) & (true < 147)).all(2)
    assert inside.mean() > 0.5
    # slopes reach 4,000 per µm: 0.01 µm is 40, and the kernel's own error is of that size
    assert np.abs(shown - brightness(true))[inside].max() < 60


@pytest.mark.parametrize("he_mpp", [0.25, 0.325, 0.65])
@pytest.mark.parametrize(
    ("spacing_um", "smooth_um", "least"), [(8, 0, 0.5), (8, 12, 0.5), (30, 0, 0.5)]
)
def test_places_between_nodes_are_right(he_mpp, spacing_um, smooth_um, least):
    """Even the roughest field that does not fold is followed to 1/100 pixel."""
    he_to_if = bending(3, spacing_um, smooth_um, least)
    size = round(90 / he_mpp)
    shown = warped(places(round(130 / 0.25), 0.25), he_slide(size, he_mpp), he_to_if)
    shown = shown.read((0, 0), (size, size)).transpose(1, 2, 0)
    true = he_to_if.points(centres_um(size, he_mpp))
    inside = ((true > 3) & (true < 127)).all(2)
    assert inside.mean() > 0.8
    assert np.abs(true - centres_um(size, he_mpp)).max() > 0.5
    assert np.hypot(*(shown - true)[inside].T).max() < 0.01 * he_mpp


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
    assert np.abs(wrong).max() < 1e-3


@pytest.mark.parametrize("he_mpp", [0.25, 0.5, 1.1])
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("bent", [False, True])
def test_a_pixel_is_the_same_in_whatever_region(he_mpp, levels, bent):
    size = round(100 / he_mpp)
    if_ = slide(noise(400, np.uint16), 0.25, levels)
    transform = bending(0).then(POSES["any"]) if bent else POSES["any"]
    seen = warped(if_, he_slide(size, he_mpp), transform)
    whole = seen.read((0, 0), (size, size))
    tiles = np.zeros_like(whole)
    step = 37
    for y in range(0, size, step):
        for x in range(0, size, step):
            w, h = min(step, size - x), min(step, size - y)
            tiles[:, y : y + h, x : x + w] = seen.read((x, y), (w, h))
    assert whole.max() > 1000
    assert np.array_equal(tiles, whole)


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


@pytest.mark.parametrize("he_mpp", [1.1, 0.48])
def test_fine_patterns_are_averaged_not_aliased(he_mpp):
    checks = np.indices((400, 400)).sum(0) % 2 * 200.0
    he = he_slide(60, he_mpp)
    seen = warped(slide(checks[None].astype(np.float32), 0.25), he, turn(7, shift=(12, 5)))
    assert seen.read((5, 5), (50, 50))[0] == pytest.approx(100, abs=8)


def test_rounding_does_not_depend_on_the_region_either():
    """Between two pixels halves are common, and the last bit of a place decides them."""
    even = 2 * np.random.default_rng(0).integers(0, 9000, (1, 300, 300)).astype(np.uint16)
    even[:, ::2] += 1
    seen = warped(slide(even, 0.5), he_slide(600, 0.25), turn(90, shift=(150, 0)))
    whole = seen.read((0, 0), (600, 600))
    rng = np.random.default_rng(1)
    for _ in range(300):
        (x, y), (w, h) = rng.integers(0, 540, 2).tolist(), rng.integers(1, 60, 2).tolist()
        assert np.array_equal(seen.read((x, y), (w, h)), whole[:, y : y + h, x : x + w])


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


def test_where_a_transform_stretches_blocks_are_divided(monkeypatch):
    matrix = np.diag([30.0, 30.0, 1.0])
    asked = []
    big = slide(np.full((1, 2400, 2400), 7, np.uint8), 0.25, asked=asked)
    monkeypatch.setattr(
        "regdata.transforms.warp._pitch", lambda *_: 1.0
    )  # elsewhere it does not stretch
    monkeypatch.setattr("regdata.transforms.warp._MOST", 300_000)
    seen = warped(big, he_slide(80, 0.25), Transform.affine(matrix)).read((0, 0), (80, 80))
    assert (seen == 7).all()
    assert max(box.w * box.h for box in asked) < 1300**2  # undivided, 2400 pixels a side
    assert len(asked) == 4


def test_outside_an_rgb_slide_is_glass():
    rgb = slide(np.full((3, 40, 40), 120, np.uint8), 0.5, channels=("red", "green", "blue"))
    seen = warped(rgb, he_slide(60, 0.5), turn(0, shift=(-5, -5))).read((0, 0), (60, 60))
    assert (seen[:, 10:50, 10:50] == 120).all()
    assert (seen[:, :10] == 255).all()
    assert (seen[:, :, 50:] == 255).all()


def test_a_slide_without_pixel_size_is_refused():
    with pytest.raises(RegdataError, match="if_mpp="):
        warped(slide(noise(40), None), he_slide(40, 0.5), Transform.identity())
    with pytest.raises(RegdataError, match="he_mpp="):
        warped(slide(noise(40), 0.5), he_slide(40, None), Transform.identity())
