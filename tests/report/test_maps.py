import numpy as np
import pytest

from regdata.report.maps import (
    Ground,
    Tiles,
    bar_um,
    draw_tiles,
    ground,
    scale,
    shares,
    smaller,
    tile_side,
    with_bar,
)

GREY = Ground(np.full((40, 60, 3), 255, np.uint8), 10.0)  # 600 x 400 um


def test_shares_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    xy, hit = rng.uniform(0, [730, 410], (600, 2)), rng.random(600) < 0.3
    found = shares(xy, hit, (730, 410), 100)
    assert found.values.shape == (5, 8)
    for row in range(5):
        for column in range(8):
            there = (xy // 100 == [column, row]).all(1)
            if there.sum() < 5:
                assert np.isnan(found.values[row, column])
                assert found.unsure[row, column] == there.any()
            else:
                assert found.values[row, column] == pytest.approx(hit[there].mean())
                assert not found.unsure[row, column]


def test_nuclei_on_or_beyond_the_edge_count_in_the_last_tile() -> None:
    found = shares(np.array([[200.0, 100], [-3, -1]]), np.ones(2, bool), (200, 100), 100, 1)
    assert found.values.tolist() == [[1, 1]]
    none = shares(np.zeros((0, 2)), np.zeros(0, bool), (200, 100), 100)
    assert np.isnan(none.values).all()
    assert not none.unsure.any()


def test_tiles_lie_where_they_belong() -> None:
    values = np.full((4, 6), np.nan)
    values[1, 2], values[3, 5] = 0.0, 1.0
    unsure = np.zeros((4, 6), bool)
    unsure[0, 0] = True
    colours = scale("reds")
    image = draw_tiles(GREY, Tiles(values, unsure, 100.0), colours, 0.0, 1.0)
    assert (image[10:20, 20:30] == colours[0]).all()
    assert (image[30:38, 50:60] == colours[-1]).all()
    hatched = image[0:10, 0:10, 0]
    assert set(np.unique(hatched)) == {120, 220}
    assert 0.15 < (hatched == 120).mean() < 0.35
    assert (image[0:10, 10:] == 255).all()


def test_the_slide_shows_through() -> None:
    below = Ground(GREY.image.copy(), 10.0)
    below.image[5, 5] = 128
    image = draw_tiles(below, Tiles(np.ones((4, 6)), np.zeros((4, 6), bool), 100.0), scale(), 0, 1)
    assert (image[5, 5] < image[6, 6]).all()


@pytest.mark.parametrize("side", [(30, 50), (700, 350), (3000, 2000), (1, 1)])
def test_a_ground_keeps_its_place_in_um(side: tuple[int, int]) -> None:
    found = ground(np.full((*side, 3), 200, np.uint8), 2.0)
    assert 480 <= max(found.image.shape) <= 800
    assert found.image.shape[1] * found.mpp == pytest.approx(side[1] * 2.0, rel=0.01)
    assert found.image.min() >= 128


@pytest.mark.parametrize(("size", "side"), [((512, 300), 100), ((2e4, 1e4), 100), ((5e4, 10), 300)])
def test_tiles_grow_on_large_slides(size: tuple[float, float], side: float) -> None:
    assert tile_side(size) == side


@pytest.mark.parametrize("mpp", [0.25, 1.3, 37.0])
def test_the_bar_is_as_long_as_it_says(mpp: float) -> None:
    image = np.full((100, 640, 3), 200, np.uint8)
    length = bar_um(640, mpp)
    assert 0.05 * 640 < length / mpp <= 160
    drawn = with_bar(image, mpp)
    black = (drawn == 0).all(-1)
    assert black.any(0).sum() == round(length / mpp)
    assert (with_bar(np.full((9, 9, 3), 7, np.uint8), 50.0) == 7).all()


def test_colours_go_from_light_to_dark_and_back() -> None:
    reds, viridis = scale("reds").astype(int).sum(1), scale().astype(int).sum(1)
    assert (np.diff(reds) <= 1).all()
    assert viridis[0] < viridis[-1]


def test_smaller_keeps_what_is_small() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    assert smaller(image, 20) is image
    assert smaller(image, 10).shape == (5, 10, 3)
    assert smaller(np.zeros((1, 4000, 3), np.uint8), 100).shape == (1, 100, 3)
