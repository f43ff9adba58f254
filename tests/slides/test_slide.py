from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from regdata.errors import RegdataError
from regdata.slides.resampling import resample
from regdata.slides.slide import Box, Slide


class Levels:
    """Levels in memory, remembering what was read of them."""

    def __init__(self, *levels: NDArray) -> None:
        self.levels = levels
        self.read: list[tuple[int, Box]] = []

    def __call__(self, level: int, box: Box, channels: tuple[int, ...]) -> NDArray:
        self.read.append((level, box))
        height, width = self.levels[level].shape[1:]
        assert min(box.w, box.h) > 0, "an empty box was asked for"
        assert 0 <= box.x <= box.x + box.w <= width, "outside the level"
        assert 0 <= box.y <= box.y + box.h <= height, "outside the level"
        rows, columns = slice(box.y, box.y + box.h), slice(box.x, box.x + box.w)
        return self.levels[level][list(channels), rows, columns]


def slide_of(*levels: NDArray, channels: tuple[str, ...] = ("DAPI",)) -> Slide:
    sizes = tuple((level.shape[2], level.shape[1]) for level in levels)
    return Slide(Path("x.tif"), sizes, 0.5, channels, levels[0].dtype, Levels(*levels))


def smooth(width: int, height: int, dtype: str = "uint16") -> NDArray:
    """A bumpy surface without detail below 12 px, (1, H, W), 2000 to 18000."""
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x / 5.3) * np.cos(y / 7.1) + np.sin((x + 2 * y) / 9.7)
    return (10000 + 4000 * waves).astype(dtype)[None]


def binned(image: NDArray, k: int) -> NDArray:
    c, h, w = image.shape
    h, w = h // k * k, w // k * k
    return image[:, :h, :w].reshape(c, h // k, k, w // k, k).mean((2, 4)).astype(image.dtype)


def footprint_mean(
    image: NDArray, xy: tuple[float, float], size: tuple[int, int], scale: float, n: int = 8
) -> NDArray:
    """The twin: the mean of the picture over each output pixel's square, by n x n samples."""
    steps = np.arange(size[0] * n), np.arange(size[1] * n)
    x, y = (c + (s + 0.5) / n * scale - 0.5 for c, s in zip(xy, steps, strict=True))
    grid = np.meshgrid(y, x, indexing="ij")
    fine = map_coordinates(image.astype(float), grid, order=1, mode="nearest")
    return fine.reshape(size[1], n, size[0], n).mean((1, 3))


NOISE = np.random.default_rng(0).integers(0, 60000, (2, 40, 50)).astype(np.uint16)


@pytest.mark.parametrize("xy", [(0, 0), (7, 11), (42, 35), (3.004, 2.0)])
def test_whole_pixels_are_copied(xy: tuple[float, float]) -> None:
    x, y = round(xy[0]), round(xy[1])
    region = slide_of(NOISE, channels=("a", "b")).read(xy, (8, 5))
    assert np.array_equal(region, NOISE[:, y : y + 5, x : x + 8])


def test_channels_are_chosen_in_the_order_asked() -> None:
    slide = slide_of(NOISE, channels=("a", "b"))
    assert np.array_equal(slide.read((1, 2), (4, 3), channels=(1, 0)), NOISE[::-1, 2:5, 1:5])
    assert slide.read((1.3, 2), (4, 3), 1.7, channels=(1,)).shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("xy", "inside"),
    [
        ((-3, -2), (slice(2, 6), slice(3, 8))),
        ((47, 38), (slice(0, 2), slice(0, 3))),
        ((-100, 5), None),
        ((50, 0), None),
        ((0, 40), None),
    ],
)
@pytest.mark.parametrize(
    ("channels", "dtype", "fill"),
    [(("red", "green", "blue"), "uint8", 255), (("a", "b", "c"), "uint8", 0)],
)
def test_outside_is_white_glass_or_black(xy, inside, channels, dtype, fill) -> None:
    image = np.full((3, 40, 50), 100, dtype)
    region = slide_of(image, channels=channels).read(xy, (8, 6))
    expected = np.full((3, 6, 8), fill, dtype)
    if inside:
        expected[:, *inside] = 100
    assert np.array_equal(region, expected)


def test_outside_fills_resampled_reads_too() -> None:
    image = np.full((3, 40, 50), 100, np.uint8)
    region = slide_of(image, channels=("red", "green", "blue")).read((-40, -40), (30, 30), 2.5)
    assert (region[:, :15, :15] == 255).all()
    assert (region[:, 18:28, 18:28] == 100).all()


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.3, 1.99, 2.0, 2.6, 3.0, 4.37, 7.9])
@pytest.mark.parametrize("xy", [(20.0, 30.0), (20.5, 31.25), (33.77, 47.1)])
def test_a_ramp_comes_out_at_pixel_centres(scale: float, xy: tuple[float, float]) -> None:
    y, x = np.mgrid[:400, :400]
    image = ((x + 0.5) * 10 + (y + 0.5) * 100).astype(np.float32)[None]
    region = slide_of(image).read(xy, (12, 9), scale)[0]
    row, column = np.mgrid[:9, :12]
    expected = (xy[0] + (column + 0.5) * scale) * 10 + (xy[1] + (row + 0.5) * scale) * 100
    # cv2 places samples to 1/32 block and its cubic bends a ramp by 1/25; half a pixel is 1/2
    assert np.abs(region - expected).max() < 110 * max(1, scale) * 0.06


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5, 2.0, 3.3, 5.0])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_resampling_agrees_with_the_mean_over_footprints(scale: float, dtype: str) -> None:
    divisor = 80 if dtype == "uint8" else 1
    image = (smooth(300, 260, "float32") / divisor).astype(dtype)
    region = slide_of(image).read((31.3, 42.8), (30, 25), scale)
    twin = footprint_mean(image[0], (31.3, 42.8), (30, 25), scale)
    assert region.dtype == image.dtype
    error = np.abs(region[0].astype(float) - twin) / (16000 / divisor)
    assert error.mean() < 0.01
    assert error.max() < 0.04


def test_fine_detail_does_not_alias() -> None:
    stripes = np.zeros((1, 300, 300), np.float32)
    stripes[:, :, ::2] = 1000  # the finest there are; coarser pixels see their mean
    for scale in (2.0, 2.9, 4.4):
        region = slide_of(stripes).read((20.3, 20), (40, 40), scale)
        assert np.abs(region - 500).max() < 130, scale


def test_a_point_comes_out_the_same_in_any_region() -> None:
    slide = slide_of(NOISE.repeat(8, 1).repeat(8, 2)[:1])
    for scale in (1.4, 2.0, 3.7):
        large = slide.read((10.0, 20.0), (60, 50), scale)[0].astype(int)
        corner = (10.0 + 13 * scale, 20.0 + 7 * scale)
        small = slide.read(corner, (20, 15), scale)[0].astype(int)
        assert np.abs(large[7:22, 13:33] - small).max() <= 60000 / 256, scale


@pytest.mark.parametrize("downsample", [1.0, 2.0, 2.5, 6.0])
def test_overview_is_the_same_as_one_read(monkeypatch, downsample: float) -> None:
    monkeypatch.setattr("regdata.slides.slide._STRIP", 64)
    slide = slide_of(smooth(301, 203), binned(smooth(301, 203), 2))
    overview = slide.overview(downsample)
    size = (-(-301 // downsample), -(-203 // downsample))
    assert overview.shape == (1, size[1], size[0])
    whole = slide.read((0, 0), (int(size[0]), int(size[1])), downsample)
    assert np.abs(overview.astype(int) - whole.astype(int)).max() <= 16000 / 256
    largest = max(max(box.w, box.h) for _, box in slide.pixels.read[:-1])
    assert largest <= 64 + 2 * 8 * 3 + 8, "strips are of bounded size"


def test_thumbnail_fits_and_never_enlarges() -> None:
    slide = slide_of(smooth(300, 200))
    assert slide.thumbnail(100).shape == (1, 67, 100)
    assert np.array_equal(slide.thumbnail(5000), smooth(300, 200))


@pytest.mark.parametrize(
    ("downsample", "level"),
    [(0.5, 0), (1, 0), (1.9, 0), (1.99, 1), (2, 1), (3.9, 1), (4, 2), (100, 2)],
)
def test_the_coarsest_sufficient_level_is_read(downsample: float, level: int) -> None:
    image = smooth(400, 320)
    slide = slide_of(image, binned(image, 2), binned(image, 4))
    slide.read((0, 0), (3, 3), downsample)
    assert {k for k, _ in slide.pixels.read} == {level}


@pytest.mark.parametrize("rounding", [np.floor, np.ceil])
def test_downsamples_are_whole_although_sides_were_rounded(rounding) -> None:
    full = (4559, 5013)
    sizes = tuple(tuple(int(rounding(side / k)) for side in full) for k in (1, 2, 4, 8, 16, 32))
    slide = Slide(Path("x"), sizes, None, ("a",), np.dtype("uint8"), Levels())
    assert slide.downsamples == (1, 2, 4, 8, 16, 32)


def test_downsamples_of_an_uneven_pyramid() -> None:
    sizes = ((1000, 800), (667, 533), (300, 240))
    slide = Slide(Path("x"), sizes, None, ("a",), np.dtype("uint8"), Levels())
    assert slide.downsamples == pytest.approx((1, 1.4993, 3.3333), abs=1e-4)


@pytest.mark.parametrize("downsample", [2.0, 4.0, 4.3, 5.5])
def test_flat_and_pyramidal_agree(downsample: float) -> None:
    image = smooth(403, 301)  # sides that do not halve evenly
    flat = slide_of(image)
    pyramid = slide_of(image, binned(image, 2), binned(image, 4))
    size = (int(350 / downsample), int(250 / downsample))
    one = flat.read((20.25, 13.5), size, downsample).astype(int)
    other = pyramid.read((20.25, 13.5), size, downsample).astype(int)
    assert np.abs(one - other).max() < 0.06 * 16000


def test_read_rgb_is_height_width_colour() -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 20, 30)).astype(np.uint8)
    slide = slide_of(image, channels=("red", "green", "blue"))
    assert np.array_equal(slide.read_rgb((4, 5), (10, 7)), image.transpose(1, 2, 0)[5:12, 4:14])


@pytest.mark.parametrize(
    ("channels", "dtype"), [(("DAPI", "CD3", "CD8"), "uint8"), (("red", "green", "blue"), "uint16")]
)
def test_read_rgb_refuses_what_is_no_colour_picture(channels, dtype) -> None:
    slide = slide_of(np.zeros((3, 4, 4), dtype), channels=channels)
    with pytest.raises(RegdataError, match="not an 8-bit RGB picture"):
        slide.read_rgb((0, 0), (2, 2))


def test_the_pixel_size_is_asked_for_by_its_option() -> None:
    slide = slide_of(NOISE)
    assert slide.known_mpp("he_mpp") == 0.5
    assert slide.with_mpp(0.25).mpp == 0.25
    assert slide.with_mpp(None).mpp == 0.5
    unsaid = Slide(slide.path, slide.sizes, None, slide.channels, slide.dtype, slide.pixels)
    with pytest.raises(RegdataError, match=r"x\.tif does not say its pixel size; pass `if_mpp=`"):
        unsaid.known_mpp("if_mpp")


def test_resample_keeps_a_constant() -> None:
    plane = np.full((50, 60), 123, np.uint8)
    assert (resample(plane, (9.3, 8.8), (12, 10), 3.4) == 123).all()
