import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.eval.metrics import matching
from regdata.eval.metrics.matching import match_assigned, match_greedily, match_points


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


def twin_greedy(takers, offered, radius, order):
    """Nearest free one in turn, from the matrix of all distances."""
    distance = np.linalg.norm(takers[:, None] - offered[None], axis=2)
    free, pairs = set(range(len(offered))), []
    for i in order:
        near = [(distance[i, j], j) for j in free if distance[i, j] <= radius]
        if near:
            free.discard(min(near)[1])
            pairs.append([int(i), min(near)[1]])
    return sorted(pairs)


@settings(deadline=None, max_examples=100)
@given(points, points, st.sampled_from([2.0, 5.0, 9.0]), st.randoms())
def test_greedy_takes_the_nearest_free_one_in_turn(takers, offered, radius, random):
    order = np.array(random.sample(range(len(takers)), len(takers)), np.int64)
    pairs = match_greedily(takers, offered, radius, order).tolist()
    assert pairs == twin_greedy(takers, offered, radius, order)


def test_float32_distances_decide_at_the_radius():
    a, b = np.array([[0.0, 0.0]]), np.array([[15.0000001, 0.0]])
    order = np.array([0])
    assert len(match_greedily(a, b, 15, order)) == 0
    assert len(match_greedily(a, b, 15, order, single=True)) == 1


def test_a_full_assignment_gives_up_near_pairs_for_far_ones():
    # all three must be paired: 0 - 0.9 would leave 10 with 30
    a, b = np.array([[0.0, 0], [2, 0]]), np.array([[1.0, 0], [-20, 0]])
    assert match_assigned(a, b, 2).tolist() == [[1, 0]]
    assert match_assigned(a, np.zeros((0, 2)), 2).tolist() == []


def test_a_full_assignment_of_a_slide_is_refused():
    many = np.zeros((30_000, 2))
    with pytest.raises(RegdataError, match="preset regdata"):
        match_assigned(many, many, 12)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=7, unique=True),
       st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=7, unique=True),
       st.randoms())  # fmt: skip
def test_ties_do_not_depend_on_the_order(annotated, predicted, random):
    """On a grid nearly every choice is a tie; the same points are paired all the same."""
    a, b = (np.array(rows, float).reshape(-1, 2) for rows in (annotated, predicted))
    here, there = (random.sample(range(len(x)), len(x)) for x in (a, b))
    pairs = match_points(a, b, 3)
    shuffled = match_points(a[here], b[there], 3)
    assert {(i, j) for i, j in pairs.tolist()} == {
        (here[i], there[j]) for i, j in shuffled.tolist()
    }


def test_a_further_column_keeps_groups_apart():
    a = np.array([[0.0, 0, 0], [0, 0, 100]])
    b = np.array([[1.0, 0, 100], [2, 0, 0]])
    assert match_points(a, b, 15).tolist() == [[0, 1], [1, 0]]


def test_a_square_of_ties_is_paired_the_same_way_in_any_order():
    """Either diagonal's point may take either neighbour, at the same total."""
    a, b = (
        np.array([[0.0, 0], [1, 1], [4, 4], [5, 5]]),
        np.array([[0.0, 1], [1, 0], [4, 5], [5, 4]]),
    )
    found = set()
    for here, there in itertools.product(itertools.permutations(range(4)), repeat=2):
        pairs = match_points(a[list(here)], b[list(there)], 2).tolist()
        found.add(frozenset((here[i], there[j]) for i, j in pairs))
    assert len(found) == 1
