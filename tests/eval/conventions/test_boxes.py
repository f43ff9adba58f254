from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.eval import score_boxes
from regdata.eval.conventions.boxes import box_iou

boxes = st.lists(
    st.tuples(*[st.integers(0, 5)] * 2, *[st.integers(1, 5)] * 2).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=5,
)


def test_the_last_pixel_belongs_to_a_box_of_nucls() -> None:
    whole, half = [[0, 0, 9, 9]], [[0, 0, 9, 4]]  # 10 x 10 and 10 x 5 pixels: IoU 0.5
    assert score_boxes(whole, half)["matched"] == [[0, 0]]
    result = score_boxes(whole, half, "regdata")  # 9 x 9 and 9 x 4
    assert (result["matched"], result["unmatched_1"], result["unmatched_2"]) == ([], [0], [0])


@settings(deadline=None, max_examples=100)
@given(boxes, boxes)
def test_is_the_best_of_all_assignments(first, second) -> None:
    result = score_boxes(first, second, "regdata", min_iou=0.3)
    few, many = sorted((first, second), key=len)
    best = (0, 0.0)
    for way in permutations(range(len(many)), len(few)):
        iou = [twin_iou(few[i], many[j]) for i, j in enumerate(way)]
        hits = [value for value in iou if value >= 0.3]
        best = max(best, (len(hits), round(sum(hits), 9)))
    total = sum(twin_iou(first[i], second[j]) for i, j in result["matched"])
    assert (len(result["matched"]), round(total, 9)) == best
    cells = len(first) + len(second)
    assert result["f1"] == (2 * len(result["matched"]) / cells if cells else None)


def twin_iou(a, b) -> float:
    """By the pixels of a grid."""
    grids = [np.zeros((12, 12), bool), np.zeros((12, 12), bool)]
    for grid, (left, top, right, bottom) in zip(grids, (a, b), strict=True):
        grid[top:bottom, left:right] = True
    return float((grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum())


def test_boxes_without_extent_share_nothing() -> None:
    point = np.array([[3.0, 3, 3, 3]])
    assert box_iou(point, point).tolist() == [0.0]
    assert box_iou(point, point, 1).tolist() == [1.0]


def test_classes_of_what_matches() -> None:
    first = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]
    second = [[20, 0, 29, 9], [0, 0, 9, 9]]
    given = [[0.2, 0.8], [0.9, 0.1]]
    result = score_boxes(first, second, classes=[0, 0, 1], probabilities=given)
    assert result["classification"]["accuracy"] == 0.5
    assert result["classification"]["confusion"] == [[1, 1], [0, 0]]


def test_what_is_no_box_is_refused() -> None:
    with pytest.raises(RegdataError, match="xmin, ymin"):
        score_boxes([[5, 0, 1, 9]], [])
    with pytest.raises(RegdataError, match="hovernet scores points and instances"):
        score_boxes([], [], "hovernet")
    with pytest.raises(RegdataError, match="class of each first"):
        score_boxes([], [], classes=[1], probabilities=[])
