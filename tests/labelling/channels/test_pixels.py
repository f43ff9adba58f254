from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.channels.pixels import MARGIN, repair_hot, saturation_level
from regdata.simulate.placing import KINDS
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.slides.slide import Box, Slide


def slide_of(plane: NDArray[np.generic]) -> Slide:
    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.generic]:
        return plane[None, box.y : box.y + box.h, box.x : box.x + box.w]

    return Slide(Path("if.tif"), (plane.shape[::-1],), 0.5, ("c",), plane.dtype, pixels)


def section(**settings: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The marker without and with hot pixels."""
    tissue = render_tissue((500, 500), seed=4)
    positive = tissue.kinds == KINDS.index("lymphocyte")
    both = [
        restain(
            tissue.rgb, tissue.instances, positive, RestainSettings(hot=hot, **settings), seed=1
        ).image[1]
        for hot in (0.0, 1e-3)
    ]
    return both[0].astype(np.float32), both[1].astype(np.float32)


@pytest.mark.parametrize("mpp", [0.325, 0.65])
def test_hot_pixels_go_and_nuclei_stay(mpp: float) -> None:
    clean, spoiled = section(if_mpp=mpp)
    hot = spoiled != clean
    assert 30 < hot.sum() < 1000
    repaired = repair_hot(spoiled, 1.0)
    far = spoiled - clean > 0.1 * 65535
    assert (np.abs(repaired - clean)[far] < 0.1 * 65535).mean() > 0.95
    untouched = repair_hot(clean, 1.0)
    bright = clean > 4000
    assert bright.sum() > 1000
    assert np.array_equal(untouched[bright], clean[bright])
    assert (untouched != clean).mean() < 1e-3  # specks of the stain narrower than a pixel


def test_pairs_go_and_threes_stay() -> None:
    plane = np.random.default_rng(0).normal(100, 3, (60, 60)).astype(np.float32)
    spoiled = plane.copy()
    spoiled[10, 10] = 900  # alone
    spoiled[30, 30:32] = 900  # a pair
    spoiled[50, 50:52] = spoiled[51, 50] = 900  # three
    repaired = repair_hot(spoiled)
    assert repaired[10, 10] < 115
    assert repaired[30, 30:32].max() < 115
    assert repaired[50, 50] == 900


def test_a_disc_of_a_few_pixels_is_no_hot_pixel() -> None:
    y, x = np.indices((41, 41)) - 20
    plane = 100 + 5000 * np.exp(-(x**2 + y**2) / (2 * 1.2**2))
    assert np.array_equal(repair_hot(plane.astype(np.float32)), plane.astype(np.float32))


def test_a_pixel_does_not_depend_on_the_region() -> None:
    rng = np.random.default_rng(1)
    plane = rng.poisson(30, (120, 130)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.01] *= 20
    whole = repair_hot(plane)
    assert not np.array_equal(whole, plane)
    part = repair_hot(plane[30:90, 20:100].copy())
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert np.array_equal(part[inner], whole[30:90, 20:100][inner])


@pytest.mark.parametrize(
    ("dtype", "full"),
    [(np.uint8, 255), (np.uint16, 1023), (np.uint16, 4095), (np.uint16, 16383), (np.uint16, 65535)],
)
def test_pixels_piled_up_at_full_scale(dtype: type, full: int) -> None:
    rng = np.random.default_rng(0)
    light = full * 0.1 * np.ones((300, 1500))
    light[100:140, 1200:1260] = full * 1.5  # in a block of its own
    image = rng.poisson(light).clip(0, full).astype(dtype)
    assert saturation_level(slide_of(image), 0) == full
    image[100:140, 1200:1260] = rng.integers(full * 0.5, full, (40, 60))  # as bright, not clipped
    image[110, 1210] = full
    assert saturation_level(slide_of(image), 0) is None


def test_hot_pixels_at_full_scale_are_no_saturation() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(200, (400, 400)).astype(np.uint16)
    image[rng.random(image.shape) < 1e-3] = 65535
    assert saturation_level(slide_of(image), 0) is None


def test_floats_and_black_have_no_full_scale() -> None:
    assert saturation_level(slide_of(np.ones((50, 50), np.float32)), 0) is None
    assert saturation_level(slide_of(np.zeros((50, 50), np.uint16)), 0) is None


@pytest.mark.parametrize(("saturate", "found"), [(1.0, None), (12.0, 4095.0)])
def test_a_simulated_exposure(saturate: float, found: float | None) -> None:
    image, _ = section(saturate=saturate, bit_depth=12)
    assert saturation_level(slide_of(image.astype(np.uint16)), 0) == found
