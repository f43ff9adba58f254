from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.labelling.channels.background import (
    Background,
    channel_background,
    estimate_background,
    without_background,
)
from regdata.slides.slide import Box, Slide


def slide_of(planes: NDArray[np.generic], mpp: float = 0.5) -> Slide:
    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.generic]:
        return planes[list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    names = tuple(f"c{i}" for i in range(len(planes)))
    size = (planes.shape[2], planes.shape[1])
    return Slide(Path("if.tif"), (size,), mpp, names, planes.dtype, pixels)


def test_percentile_of_tissue_only() -> None:
    image = np.zeros((40, 40), np.float32)
    tissue = np.zeros((40, 40), bool)
    tissue[:, 20:] = True
    image[:, 20:] = 50
    image[10:14, 24:28] = 900  # stained, a small share
    grid = estimate_background(image, tissue, 20)
    assert grid.shape == (2, 2)
    assert np.allclose(grid, 50)  # glass does not pull it down; its blocks take their neighbours'


def test_a_gradient_is_followed() -> None:
    columns = np.indices((200, 400))[1]
    image = (100 + columns).astype(np.float32)
    background = Background(estimate_background(image, np.ones((200, 400), bool), 50), 50.0)
    middle = background.at((0, 0), (400, 200), 1.0)[100]
    # a constant part of the ramp within a block may be lost, its slope not
    assert np.allclose(np.diff(middle[130:270]), 1, atol=0.25)


def test_interpolation_between_block_centres() -> None:
    background = Background(np.array([[0.0, 10.0]], np.float32), 10.0)
    line = background.at((0, 0), (20, 1), 1.0)[0]
    assert line[:5].tolist() == [0] * 5  # before the first centre
    assert line[9:11] == pytest.approx([4.5, 5.5], abs=0.05)
    shifted = background.at((4, 0), (8, 1), 2.0)[0]
    assert shifted == pytest.approx(line[4:20].reshape(8, 2).mean(1), abs=0.3)


def test_without_background_reads_the_same_in_parts() -> None:
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 1000, (2, 60, 80)).astype(np.uint16)
    background = Background(rng.uniform(0, 200, (3, 4)).astype(np.float32), 20.0)
    marker = without_background(slide_of(planes), 1, background)
    assert marker.channels == ("c1",)
    whole = marker.read((0, 0), (80, 60))[0]
    assert np.allclose(whole, planes[1] - background.at((0, 0), (80, 60), 1.0))
    part = marker.read((30, 20), (25, 30))[0]
    assert np.allclose(part, whole[20:50, 30:55], atol=1e-3)


@pytest.mark.parametrize(
    ("value", "message"),
    [(7.0, r"channel c0 of if.tif is constant \(value 7"), (np.nan, "holds NaN")],
)
def test_bad_channels(value: float, message: str) -> None:
    planes = np.full((1, 32, 32), value, np.float32)
    with pytest.raises(RegdataError, match=message):
        channel_background(slide_of(planes), 0, np.ones((8, 8), bool))


def test_a_small_slide_has_one_block() -> None:
    planes = np.random.default_rng(0).integers(0, 100, (1, 64, 64)).astype(np.uint8)
    background = channel_background(slide_of(planes), 0, np.ones((64, 64), bool))
    assert background.grid.shape == (1, 1)
    assert background.grid[0, 0] == pytest.approx(np.percentile(planes, 20))
