import numpy as np
import pytest

from regdata.report.gallery import Window, allot, probability_strata, sample, stained


@pytest.mark.parametrize("step", [1.0, 0.5, 2.2])
@pytest.mark.parametrize("xy", [(100.3, 57.9), (0.0, 0.0), (3.4, 900.2)])
def test_a_window_begins_on_the_networks_pixels(xy: tuple[float, float], step: float) -> None:
    window = Window.around(np.array(xy), 0.25, step)
    whole = np.array(window.corner) / step
    assert whole == pytest.approx(np.round(whole), abs=1e-9)
    assert window.side % 8 == 0
    assert window.side * step * 0.25 == pytest.approx(24, abs=2)
    middle = window.inside(np.array([xy]))[0]
    assert (abs(middle - window.side / 2) <= 0.5 + 1e-9).all()


def test_points_keep_the_corner_origin() -> None:
    window = Window((10.0, 20.0), 16, 2.0)
    assert window.inside(np.array([[11.0, 23.0]])).tolist() == [[0.5, 1.5]]


def test_strata_are_of_equal_width() -> None:
    strata = probability_strata(np.array([0.7, 0.7124, 0.99, 1.0, np.nan]))
    assert strata.tolist() == [0, 0, 7, 7, -1]
    assert probability_strata(np.full(3, np.nan)).tolist() == [-1] * 3
    assert probability_strata(np.full(3, 0.9)).tolist() == [0] * 3
    assert probability_strata(np.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    ("sizes", "count"), [([3, 0, 9], 7), ([1, 1], 40), ([100] * 8, 40), ([], 4)]
)
def test_shares_are_even_and_add_up(sizes: list[int], count: int) -> None:
    found = allot(np.array(sizes, np.int64), count)
    assert sum(found) == min(count, sum(sizes))
    assert all(f <= s for f, s in zip(found, sizes, strict=True))
    room = [f for f, s in zip(found, sizes, strict=True) if f < s]
    assert not room or max(found) - min(room) <= 1


def test_borderline_nuclei_are_shown_although_few() -> None:
    rng = np.random.default_rng(1)
    chance = np.concatenate([np.full(5000, 0.98), np.linspace(0.7, 0.9, 12)])
    xy = rng.uniform(0, 1000, (len(chance), 2))
    picked = sample(xy, probability_strata(chance), 40)
    assert len(set(picked.tolist())) == 40
    assert (picked >= 5000).sum() == 12
    assert np.array_equal(picked, sample(xy, probability_strata(chance), 40))


def test_they_are_spread_over_the_slide() -> None:
    rng = np.random.default_rng(2)
    crowd = rng.normal(500, 20, (5000, 2))
    xy = np.concatenate([crowd, rng.uniform(0, 1000, (1000, 2))])

    def apart(picked: np.ndarray) -> float:
        distance = np.linalg.norm(xy[picked][:, None] - xy[picked], axis=-1)
        return float(np.median((distance + 1e9 * np.eye(len(picked))).min(1)))

    spread = sample(xy, np.zeros(len(xy), np.int64), 40)
    assert apart(spread) > 3 * apart(rng.permutation(len(xy))[:40])


def test_a_million_nuclei_are_quick() -> None:
    xy = np.random.default_rng(0).uniform(0, 1e5, (1_000_000, 2))
    assert len(sample(xy, np.arange(1_000_000) % 8, 40)) == 40


def test_brightness_is_the_same_for_stained_and_unstained_but_not_the_colour() -> None:
    image = np.array([[0.0, 25.0, 100.0, 400.0]])
    found = stained(image, np.full((1, 4), 30.0), 100.0)[0].astype(int)
    assert found[0].tolist() == [0, 0, 0]
    assert np.ptp(found[1]) == 0  # below the threshold: grey, half as bright by the square root
    assert found[1, 0] == pytest.approx(0.75 * 255 / 2, abs=1)
    assert found[2, 0] == 255 > found[2, 2] + 150
    assert (found[3] == found[2]).all()
