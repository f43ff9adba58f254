import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdata.eval.metrics.rates import precision_recall_f1, rates_of, ratio

counts = st.tuples(*[st.integers(0, 9)] * 3).map(lambda c: (min(c), c[0], c[1]))


@given(counts)
def test_rates_against_their_definitions(given_: tuple[int, int, int]) -> None:
    hits, predicted, annotated = given_
    cells = predicted + annotated
    assert rates_of(hits, predicted, annotated) == {
        "precision": hits / predicted if predicted else None,
        "recall": hits / annotated if annotated else None,
        "f1": 2 * hits / cells if cells else None,
    }


@pytest.mark.parametrize("empty", [None, 0.0, 1.0])
def test_nothing_over_nothing_is_what_the_caller_says(empty: float | None) -> None:
    assert set(rates_of(0, 0, 0, empty).values()) == {empty}
    assert rates_of(0, 4, 0, empty) == {"precision": 0.0, "recall": empty, "f1": 0.0}


def test_an_epsilon_leaves_nothing_undefined() -> None:
    found = rates_of(3, 4, 5, epsilon=1e-7)
    precision, recall = 3 / (4 + 1e-7), 3 / (5 + 1e-7)
    f1 = 2 * precision * recall / (precision + recall + 1e-7)
    assert found == {"precision": precision, "recall": recall, "f1": f1}
    assert set(rates_of(0, 0, 0, epsilon=1e-7).values()) == {0.0}


def test_arrays_are_rated_cell_by_cell() -> None:
    hits, predicted, annotated = np.array([[1, 0], [2, 0]]), np.array([[2, 0], [2, 3]]), 4
    for i, row in enumerate(zip(*precision_recall_f1(hits, predicted, annotated), strict=True)):
        for k in (0, 1):
            single = precision_recall_f1(hits[i, k], predicted[i, k], annotated)
            np.testing.assert_array_equal([values[k] for values in row], single)


def test_ratio_of_shapes_that_broadcast() -> None:
    found = ratio(np.array([[1.0], [2.0]]), np.array([2.0, 0.0]))
    np.testing.assert_array_equal(found, [[0.5, np.nan], [1.0, np.nan]])
