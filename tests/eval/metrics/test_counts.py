import numpy as np
import pytest

from regdata.eval.metrics.counts import Points, confusion


def points(*rows):
    table = np.array(rows, float).reshape(-1, 3)
    return Points(table[:, :2], table[:, 2].astype(np.int64))


def test_hit_confusion_miss_and_spurious():
    annotated = points((0, 0, 0), (100, 0, 1), (200, 0, 1), (300, 0, 0))
    predicted = points((3, 4, 0), (100, 5, 0), (900, 0, 1))
    assert confusion(annotated, predicted, 2, 5).tolist() == [
        [1, 0, 1],  # one hit, (300, 0) missed
        [1, 0, 1],  # (100, 0) taken for class 0, (200, 0) missed
        [0, 1, 0],  # (900, 0) is nobody's
    ]


def test_partner_is_the_nearest_even_of_another_class():
    annotated = points((0, 0, 0), (8, 0, 1))
    assert confusion(annotated, points((2, 0, 1)), 2, 10).tolist() == [
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("predicted", "spurious"),
    [
        ([(1, 0, 0)], 0),  # on the nucleus nobody could name
        ([(1, 0, 0), (0, 1, 0)], 1),  # only one cell can be that nucleus
        ([(50, 0, 0)], 1),
    ],
)
def test_unnamed_nuclei_are_neither_right_nor_wrong(predicted, spurious):
    counts = confusion(points((0, 0, -1)), points(*predicted), 1, 5)
    assert counts.tolist() == [[0, 0], [spurious, 0]]


def test_a_named_nucleus_comes_before_an_unnamed_one():
    counts = confusion(points((0, 0, -1), (4, 0, 0)), points((1, 0, 0)), 1, 5)
    assert counts.tolist() == [[1, 0], [0, 0]]


def test_outside_the_field_only_partners_count():
    annotated = points((9, 0, 0))
    predicted = points((11, 0, 0), (30, 0, 0), (5, 40, 0))
    inside = np.array([False, False, True])
    assert confusion(annotated, predicted, 1, 5, inside).tolist() == [[1, 0], [1, 0]]


def test_nothing_anywhere():
    assert confusion(points(), points(), 2, 5).tolist() == [[0] * 3] * 3
