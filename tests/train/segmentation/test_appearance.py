import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.slides.stain import RGB_FROM_HED
from regdata.train.segmentation import appearance as look

ONE = np.ones(3, np.float32)


def stained(vectors: NDArray[np.floating], seed: int = 0) -> NDArray[np.uint8]:
    """A crop of two stains with these optical density vectors (2, 3)."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2.0, 0.5, (64, 64, 2)) * (rng.random((64, 64, 2)) < 0.6)
    return np.clip(256 * np.exp(-(amounts @ vectors)) - 1, 0, 255).astype(np.uint8)


def test_no_change_of_stain_changes_nothing() -> None:
    image = stained(RGB_FROM_HED[:2])
    assert np.abs(look.vary_hed(image, ONE, 0 * ONE).astype(int) - image).max() <= 1
    assert np.abs(look.vary_own_stains(image, ONE[:2]).astype(int) - image).max() <= 1


def test_gain_of_hematoxylin_by_hand() -> None:
    density = 0.4 * RGB_FROM_HED[0] + 0.3 * RGB_FROM_HED[1]
    image = np.rint(256 * np.exp(-density) - 1).astype(np.uint8)[None, None]
    varied = look.vary_hed(image, np.float32([1.5, 1, 1]), np.float32([0, 0.1, 0]))[0, 0]
    expected = 0.6 * RGB_FROM_HED[0] + 0.4 * RGB_FROM_HED[1]
    assert np.abs(varied - (256 * np.exp(-expected) - 1)).max() < 2


def test_own_stains_are_found_and_scaled() -> None:
    true = np.array([[0.55, 0.78, 0.30], [0.22, 0.93, 0.29]])
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    image = stained(true)
    found = look.own_stains(image)
    assert found is not None
    assert (found * true).sum(1) == pytest.approx([1, 1], abs=0.02)
    varied = look.vary_own_stains(image, np.float32([1.25, 1.25]))
    middle = (image > 60).all(-1) & (image < 250).all(-1)
    ratio = look.DENSITY[varied][middle].sum() / look.DENSITY[image][middle].sum()
    assert ratio == pytest.approx(1.25, abs=0.02)


def test_glass_has_no_stains_of_its_own() -> None:
    glass = np.full((64, 64, 3), 240, np.uint8)
    assert look.own_stains(glass) is None
    assert look.vary_own_stains(glass, np.float32([2, 2])) is glass


def test_blurs_and_coarsening_spread_a_point() -> None:
    image = np.zeros((65, 65, 3), np.uint8)
    image[40:42, 40:42] = 255
    for spread in (look.blur(image, 1.5), look.coarsen(image, 0.4), look.zoom_blur(image, 1.3)):
        assert spread.shape == image.shape
        assert spread.dtype == np.uint8
        assert spread.max() < 250
        assert (spread > 3).sum() > (image > 3).sum()
    assert np.array_equal(look.zoom_blur(image, 1.0), image)


def test_density_is_scaled_as_beer_and_lambert_say() -> None:
    image = np.array([[[255, 127, 63]]], np.uint8)  # density 0, ln 2, ln 4
    assert look.scale_density(image, 2.0).tolist() == [[[255, 63, 15]]]
    assert look.scale_density(image, 1.0).tolist() == image.tolist()


def test_sharpening_overshoots_at_an_edge_only() -> None:
    image = np.full((32, 32, 3), 100, np.uint8)
    image[:, 16:] = 150
    sharp = look.sharpen(image, 2.0, 1.5)
    assert sharp[16, 15, 0] < 90
    assert sharp[16, 16, 0] > 160
    assert (sharp[:, :6] == 100).all()
    assert np.array_equal(look.sharpen(image, 0.0, 1.5), image)


def test_noise_has_its_strength() -> None:
    grey = np.full((80, 80, 3), 128, np.uint8)
    noise = look.add_noise(grey, 6, np.random.default_rng(0)).astype(float) - 128
    assert noise.std() == pytest.approx(6, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.2)


def test_jpeg_keeps_colours_in_their_channels() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[...] = 200, 40, 120
    packed = look.compress(image, 90)
    assert np.abs(packed.astype(int) - image).max() < 6
    grey = np.random.default_rng(0).integers(100, 160, (32, 32, 1))
    noisy = grey.repeat(3, -1).astype(np.uint8)
    loss = [np.abs(look.compress(noisy, q).astype(int) - noisy).mean() for q in (95, 30)]
    assert loss[1] > 2 * loss[0]


def test_tone_by_hand() -> None:
    image = np.full((1, 1, 3), 128, np.uint8)
    expected = [int(255 * (128 / 255) ** 2 * gain) for gain in (1, 0.5, 9)]
    expected[2] = 255
    assert look.change_tone(image, 2.0, np.array([1, 0.5, 9])).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((1, 1, 1, 0), (200, 100, 50)),
        ((0.5, 1, 1, 0), (100, 50, 25)),
        ((1, 1, 0, 0), (200, 200, 200)),  # no saturation leaves HSV's value
        ((1, 1, 1, 1 / 3), (50, 200, 100)),
        ((1, 0, 1, 0), (124, 124, 124)),  # no contrast leaves the mean grey
    ],
)
def test_colour_by_hand(
    change: tuple[float, float, float, float], expected: tuple[int, int, int]
) -> None:
    image = np.full((2, 2, 3), (200, 100, 50), np.uint8)
    assert look.jitter_colour(image, *change)[0, 0].tolist() == pytest.approx(expected, abs=1)


def test_patches_are_flattened_to_their_mean() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(look.flatten_patches(image, 50, 0.0, rng), image)
    flat = look.flatten_patches(image, 50, 1.0, rng)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) <= 50
    assert flat.mean() == pytest.approx(image.mean(), abs=1)
    some = (look.flatten_patches(image, 200, 0.1, rng) != image).any(-1).mean()
    assert 0.02 < some < 0.25
