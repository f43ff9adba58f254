import numpy as np
import pytest

from regdata.eval.metrics.intervals import (
    Estimate,
    estimates,
    image_weights,
    row_means,
    weighted_means,
)


def test_the_first_row_counts_each_image_once_and_draws_keep_the_number() -> None:
    weights = image_weights(5, 200, 0)
    assert weights.shape == (201, 5)
    assert weights[0].tolist() == [1] * 5
    assert set(weights.sum(axis=1)) == {5}
    assert np.array_equal(weights, image_weights(5, 200, 0))
    assert not np.array_equal(weights, image_weights(5, 200, 1))


def test_interval_of_a_mean() -> None:
    """Twice the standard error to either side, of many values of a known spread."""
    values = np.random.default_rng(3).normal(0.5, 0.1, (400, 1))
    (mean,) = estimates(weighted_means(values, image_weights(400, 2000, 0)))
    assert mean.value == pytest.approx(values.mean())
    error = 1.96 * values.std() / 20
    assert mean.low == pytest.approx(values.mean() - error, abs=0.001)
    assert mean.high == pytest.approx(values.mean() + error, abs=0.001)


def test_undefined_values_are_left_out() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, np.nan]])
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 3, 0]])
    means = weighted_means(values, weights)
    assert means[:, 0].tolist()[:2] == [0.5, 1.0]
    assert np.isnan(means[2, 0])
    first, second = estimates(means)
    assert first == Estimate(0.5, 1.0, 1.0)
    assert second == Estimate(None)


def test_one_image_has_no_interval() -> None:
    (mean,) = estimates(weighted_means(np.array([[0.25]]), image_weights(1, 1000, 0)))
    assert mean == Estimate(0.25)


def test_row_means_without_what_is_missing() -> None:
    means = row_means(np.array([[1.0, np.nan, 0.0], [np.nan] * 3]))
    assert means[0, 0] == 0.5
    assert np.isnan(means[1, 0])
