import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.rules.probability import UNSURE, positive_probability

MEANS = np.geomspace(0.1, 1e5, 400)


def chances(
    mean: NDArray[np.floating] | list[float],
    threshold: float = 100.0,
    error: float = 0.3,
    radius: float = 3.0,
) -> NDArray[np.float32]:
    given = np.asarray(mean, np.float32)
    same = [np.full(len(given), value) for value in (threshold, error, radius)]
    return positive_probability(given, *same)


@pytest.mark.parametrize("error", [0.0, 0.5, 3.0, np.nan])
def test_it_rises_with_the_intensity(error: float) -> None:
    found = chances(MEANS, error=error)
    assert (np.diff(found) >= 0).all()
    assert found[0] == pytest.approx(UNSURE, abs=0.1)
    assert found[-1] == pytest.approx(1 - UNSURE, abs=0.1)
    assert found.min() >= UNSURE - 1e-6
    assert found.max() <= 1 - UNSURE + 1e-6


def test_it_is_flatter_the_larger_the_error() -> None:
    sure = np.abs(np.array([chances(MEANS, error=e) for e in (0.0, 0.5, 1.0, 2.0, 5.0)]) - 0.5)
    assert (np.diff(sure, axis=0) <= 1e-6).all()
    assert (np.diff(sure, axis=0) < -0.01).any()


def test_the_same_error_says_less_of_a_small_nucleus() -> None:
    sure = np.abs(np.array([chances(MEANS, error=1.0, radius=r) for r in (2.0, 3.0, 6.0)]) - 0.5)
    assert (np.diff(sure, axis=0) >= -1e-6).all()


def test_only_the_ratio_to_the_threshold_counts() -> None:
    np.testing.assert_allclose(chances(MEANS), chances(7 * MEANS, 700.0), rtol=1e-5)


def test_an_unknown_error_is_taken_as_the_radius() -> None:
    assert np.array_equal(chances(MEANS, error=np.nan), chances(MEANS, error=3.0))


def test_where_nothing_was_measured_the_odds_are_even() -> None:
    assert chances([np.nan]).tolist() == [0.5]


@pytest.mark.parametrize("threshold", [0.0, -5.0])
def test_a_threshold_without_background(threshold: float) -> None:
    dark, bright = chances([-3.0, 4.0], threshold).tolist()
    assert dark < 0.1 < 0.9 < bright
