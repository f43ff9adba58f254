import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from regdata.cellvit.tiles.quality import QualityLimits, TileQuality, tile_quality
from regdata.simulate.tissue import render_tissue

LIMITS = QualityLimits()
INKS = {
    "blue": (40, 60, 170),
    "green": (20, 130, 70),
    "red": (215, 30, 40),
    "black": (25, 25, 30),
}


def density(rgb):
    return -np.log((np.asarray(rgb, np.float32) + 1) / 256)


def to_rgb(optical_density):
    return np.clip(256 * np.exp(-optical_density) - 1, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def tissue():
    """Simulated H&E of 256 µm a side, 0.25 µm per pixel."""
    return render_tissue((1024, 1024), seed=3).rgb


def blurred(rgb, sigma):
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma))


def with_band(rgb, factor, ink=(255, 255, 255), width=240):
    """Optical density times `factor`, and that of ink on top, in an upright band."""
    changed = density(rgb)
    changed[:, 400 : 400 + width] *= factor
    changed[:, 400 : 400 + width] += density(ink)
    return to_rgb(changed)


def test_a_good_tile(tissue):
    quality = tile_quality(tissue, 0.25)
    assert LIMITS.is_bad(quality) is None
    assert 0.5 < quality.focus <= 1
    assert quality.fold == quality.pen == 0


@pytest.mark.parametrize("sigma", [3, 4, 6, 10, 20])
def test_blur(tissue, sigma):
    soft = blurred(tissue, sigma)
    assert LIMITS.is_bad(tile_quality(soft, 0.25)) == "blurred"
    noise = np.random.default_rng(0).normal(0, 1, soft.shape)
    noisy = np.clip(soft + noise, 0, 255).astype(np.uint8)
    assert LIMITS.is_bad(tile_quality(noisy, 0.25)) == "blurred"


def test_focus_falls_with_blur(tissue):
    found = [tile_quality(blurred(tissue, sigma), 0.25).focus for sigma in (0.1, 1, 2, 3, 5, 8)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.5 * found[3]


@pytest.mark.parametrize("sigma", [0.1, 3])
def test_focus_does_not_depend_on_the_amount_of_tissue(tissue, sigma):
    image = blurred(tissue, sigma)
    glass = np.random.default_rng(0).integers(238, 243, tissue.shape).astype(np.uint8)
    here = np.zeros(tissue.shape, np.float32)
    here[300:500, 300:500] = 1  # 4 % of the tile, fading out: a sharp edge would be in focus
    here = cv2.GaussianBlur(here, (0, 0), 20)
    little = to_rgb(density(image) * here + density(glass))
    whole = tile_quality(image[300:500, 300:500], 0.25).focus
    assert tile_quality(little, 0.25).focus == pytest.approx(whole, abs=0.06)


def test_pixel_size(tissue):
    fine = np.asarray(cv2.resize(tissue, (2048, 2048), interpolation=cv2.INTER_CUBIC))
    there, here = tile_quality(fine, 0.125), tile_quality(tissue, 0.25)
    assert there.focus == pytest.approx(here.focus, abs=0.08)
    half = np.asarray(cv2.resize(tissue, (512, 512), interpolation=cv2.INTER_AREA))
    assert tile_quality(half, 0.5).focus == pytest.approx(here.focus, abs=0.02)
    assert tile_quality(blurred(fine, 6), 0.125).focus < LIMITS.focus


@pytest.mark.parametrize("factor", [2.0, 2.5])
def test_folds(tissue, factor):
    quality = tile_quality(with_band(tissue, factor), 0.25)
    assert LIMITS.is_bad(quality) == "fold"
    share = 240 / 1024
    assert 0.3 * share < quality.fold < 1.2 * share
    assert quality.pen == 0


def test_a_small_fold_does_not_count(tissue):
    image = tissue.copy()
    image[400:480, 400:480] = to_rgb(2.5 * density(image[400:480, 400:480]))  # 20 µm a side
    assert tile_quality(image, 0.25).fold == 0


def test_another_tissue_is_no_fold(tissue):
    """Half the tile twice as red, its nuclei as dark as before: muscle beside stroma."""
    changed = density(tissue)
    changed[:, 400:640] *= (1.0, 2.0, 1.0)
    assert LIMITS.is_bad(tile_quality(to_rgb(changed), 0.25)) is None


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("ink", INKS)
def test_pen(tissue, ink, strength):
    colour = to_rgb(density(INKS[ink]) * strength)
    quality = tile_quality(with_band(tissue, 1, colour), 0.25)
    assert LIMITS.is_bad(quality) == "pen"
    assert quality.pen == pytest.approx(240 / 1024, abs=0.06)
    alone = tile_quality(with_band(np.full_like(tissue, 245), 1, colour), 0.25)
    assert LIMITS.is_bad(alone) == "pen"
    assert alone.focus == 1  # no tissue that could be blurred


@pytest.mark.parametrize("level", [255, 240, 200, 150])
def test_glass_is_good(level):
    image = np.full((512, 512, 3), level, np.uint8)
    assert tile_quality(image, 0.25) == TileQuality(1.0, 0.0, 0.0)
    noisy = image - np.random.default_rng(0).integers(0, 6, image.shape).astype(np.uint8)
    assert tile_quality(noisy, 0.25) == TileQuality(1.0, 0.0, 0.0)


def test_a_weak_lamp_changes_little(tissue):
    dim = (tissue * 0.65).astype(np.uint8)
    here, there = tile_quality(tissue, 0.25), tile_quality(dim, 0.25)
    assert LIMITS.is_bad(there) is None
    assert there.focus == pytest.approx(here.focus, abs=0.08)


@pytest.mark.parametrize(
    ("quality", "reason"),
    [
        (TileQuality(0.43, 0.04, 0.10), None),
        (TileQuality(0.42, 0.04, 0.10), "blurred"),
        (TileQuality(0.43, 0.05, 0.10), "fold"),
        (TileQuality(0.43, 0.04, 0.11), "pen"),
        (TileQuality(0.1, 0.9, 0.9), "pen"),
        (TileQuality(0.1, 0.9, 0.0), "blurred"),
    ],
)
def test_reasons(quality, reason):
    assert LIMITS.is_bad(quality) == reason
    assert QualityLimits(0, 1, 1).is_bad(quality) is None


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.sampled_from([0.1, 0.25, 0.5, 1.0, 4.0, 10.0]),
)
def test_numbers_are_always_in_range(rgb, mpp):
    before = rgb.copy()
    quality = tile_quality(rgb, mpp)
    for value in (quality.focus, quality.fold, quality.pen):
        assert type(value) is float
        assert 0 <= value <= 1
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.skipif("REGDATA_DATA" not in os.environ, reason="REGDATA_DATA: no real images here")
def test_real_tiles():
    """Good as they are, blurred after a blur."""
    paths = sorted(Path(os.environ["REGDATA_DATA"]).glob("consep/test/images/*"))
    assert len(paths) == 14
    for path in paths:
        rgb = np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])
        assert LIMITS.is_bad(tile_quality(rgb, 0.25)) is None, path.name
        assert LIMITS.is_bad(tile_quality(blurred(rgb, 3.5), 0.25)) == "blurred", path.name
