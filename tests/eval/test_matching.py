import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.eval import matching
from regdata.eval.matching import match_points


def every_matching(annotated, predicted, radius):
    """All one-to-one matchings, by trying each choice for each annotated point."""
    distance = np.linalg.norm(annotated[:, None] - predicted[None], axis=2)
    options = [[None, *np.flatnonzero(row <= radius).tolist()] for row in distance]
    for choice in itertools.product(*options):
        used = [c for c in choice if c is not None]
        if len(used) == len(set(used)):
            yield len(used), sum(distance[i, c] for i, c in enumerate(choice) if c is not None)


def total(annotated, predicted, pairs):
    return np.linalg.norm(annotated[pairs[:, 0]] - predicted[pairs[:, 1]], axis=1).sum()


@pytest.mark.parametrize(
    ("annotated", "predicted", "pairs"),
    [
        ([[0, 0]], [[9, 12]], [[0, 0]]),  # exactly 15: the radius is inclusive
        ([[0, 0]], [[9, 12.01]], []),
        ([], [[0, 0]], []),
        ([[0, 0]], [], []),
        ([], [], []),
        ([[0, 0], [20, 0]], [[8, 0], [34, 0]], [[0, 0], [1, 1]]),
        ([[0, 0], [20, 0]], [[11, 0]], [[1, 0]]),  # the nearer one of two
        # 10 is nearest to 12, but only 12 can serve 26: two far pairs beat one near pair
        ([[10, 0], [26, 0]], [[12, 0], [-4, 0]], [[0, 1], [1, 0]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], None),  # coincident points: two pairs
    ],
)
def test_cases(annotated, predicted, pairs):
    found = match_points(
        np.array(annotated, float).reshape(-1, 2), np.array(predicted, float).reshape(-1, 2), 15
    )
    assert found.shape[1] == 2
    if pairs is None:
        assert len(found) == 2
    else:
        assert found.tolist() == pairs


@pytest.mark.parametrize("mpp", [0.1, 0.2, 0.23, 0.25, 0.3, 0.5, 0.7])
def test_radius_in_um_is_inclusive_at_any_pixel_size(mpp):
    far = np.array([[3.75 / mpp, 0.0]]) + 1000
    assert len(match_points(np.array([[1000.0, 1000.0]]), far, 3.75 / mpp)) == 1


points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=0, max_size=5).map(
    lambda rows: np.array(rows, float).reshape(-1, 2)
)


@pytest.mark.parametrize("dense", [10**6, 0])
@settings(deadline=None, max_examples=150)
@given(points, points, st.sampled_from([2.0, 5.0, 9.0]))
def test_is_the_best_of_all_matchings(dense, annotated, predicted, radius):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_DENSE", dense)  # 0: the sparse solver
        pairs = match_points(annotated, predicted, radius)
    best = max(every_matching(annotated, predicted, radius), key=lambda m: (m[0], -m[1]))
    assert len(pairs) == best[0]
    assert total(annotated, predicted, pairs) == pytest.approx(best[1])
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


def test_both_solvers_agree_on_a_dense_tissue(monkeypatch):
    rng = np.random.default_rng(1)
    annotated, predicted = rng.uniform(0, 300, (2, 400, 2))
    pairs = match_points(annotated, predicted, 15)
    monkeypatch.setattr(matching, "_DENSE", 0)
    sparse = match_points(annotated, predicted, 15)
    assert len(pairs) == len(sparse) > 300
    np.testing.assert_allclose(
        total(annotated, predicted, pairs), total(annotated, predicted, sparse)
    )


def test_order_of_points_does_not_matter():
    rng = np.random.default_rng(2)
    annotated, predicted = rng.uniform(0, 200, (2, 150, 2))
    order = rng.permutation(150)
    pairs = match_points(annotated, predicted, 15)
    shuffled = match_points(annotated, predicted[order], 15)
    assert {(a, p) for a, p in pairs} == {(a, order[p]) for a, p in shuffled}
