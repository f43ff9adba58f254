import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.train.tokens.auroc import auroc, auroc_per_class


def twin(scores, positive):
    """Every pair of a positive and a negative."""
    pairs = [(p, n) for p in scores[positive] for n in scores[~positive]]
    return np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs])


@pytest.mark.parametrize(
    ("scores", "positive", "area"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([5, 5, 5], [0, 1, 1], 0.5),
        ([1, 2, 2, 3], [0, 1, 0, 1], 0.875),
        ([1, 2], [1, 1], math.nan),
        ([1, 2], [0, 0], math.nan),
        ([], [], math.nan),
    ],
)
def test_cases(scores, positive, area):
    found = auroc(np.array(scores, float), np.array(positive, bool))
    assert found == pytest.approx(area, nan_ok=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_agrees_with_all_pairs(rows):
    scores = np.array([s for s, _ in rows], np.float32)
    positive = np.array([p for _, p in rows])
    if 0 < positive.sum() < len(rows):
        assert auroc(scores, positive) == pytest.approx(twin(scores, positive))


def test_per_class():
    probabilities = np.array([[0.8, 0.2, 0], [0.6, 0.4, 0], [0.7, 0.3, 0]])
    found = auroc_per_class(probabilities, np.array([0, 1, 1]))
    np.testing.assert_allclose(found, [1.0, 1.0, math.nan])
