import numpy as np
import pytest

from regdata.labelling.thresholds.histogram import Histogram


def test_it_counts_like_numpy() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.uniform(-3, 7, 5000), rng.uniform(0, 2, 5000)
    h = Histogram.of(values, weights, -3, 7, 50)
    theirs, edges = np.histogram(values, 50, (-3, 7), weights=weights)
    assert np.allclose(h.counts, theirs)
    assert np.allclose([h.edge(i) for i in range(50)], edges[1:])
    assert np.allclose(h.centres, (edges[1:] + edges[:-1]) / 2)
    assert h.total == pytest.approx(weights.sum())


def test_values_outside_the_range_are_kept_and_nan_is_not() -> None:
    h = Histogram.of([-9, np.inf, -np.inf, np.nan, 10], [1, 2, 4, 8, 16], 0, 10, 5)
    assert h.counts.tolist() == [5, 0, 0, 0, 18]


def test_adding_blocks_is_counting_at_once() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    whole = Histogram.of(values, None, 10, 250, 12)
    parts = Histogram.of([], None, 10, 250, 12)
    for row in values:
        before = parts
        parts = parts.add(row)
        assert parts is not before
    assert parts.counts.tolist() == whole.counts.tolist()
    assert (parts.low, parts.high, parts.width) == (10, 250, 20)
