import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cellvit.maps.components import fill_holes, find_parts, paint_runs

masks = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1)
)


def painted(mask: NDArray[np.uint8], value: int = 1) -> tuple[NDArray[np.int32], int]:
    parts = find_parts(mask, value)
    out = np.zeros(mask.shape, np.int32)
    paint_runs(out, parts.runs, parts.label)
    return out, parts.count


@settings(deadline=None)
@given(masks)
def test_parts_are_those_of_scipy_in_the_same_order(mask: NDArray[np.uint8]) -> None:
    for value in (0, 1):
        labels, count = painted(mask, value)
        expected, expected_count = ndimage.label(mask == value)
        assert count == expected_count
        assert np.array_equal(labels, expected)
        area = find_parts(mask, value).area()
        assert np.array_equal(area[1:], np.bincount(expected.ravel(), minlength=1)[1:])


@settings(deadline=None)
@given(masks)
def test_holes_are_those_of_scipy(mask: NDArray[np.uint8]) -> None:
    before = mask.copy()
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
    assert np.array_equal(mask, before)


def test_a_spiral_is_one_part() -> None:
    spiral = np.array(
        [
            [1, 1, 1, 1, 1],
            [0, 0, 0, 0, 1],
            [1, 1, 1, 0, 1],
            [1, 0, 0, 0, 1],
            [1, 1, 1, 1, 1],
        ],
        np.uint8,
    )
    assert painted(spiral)[1] == 1
    assert fill_holes(spiral).sum() == spiral.sum()  # the inside reaches the edge
    spiral[1, 0] = 1
    assert fill_holes(spiral).sum() == 25


@pytest.mark.parametrize(("diagonal", "parts"), [(0, 2), (1, 1)])
def test_a_corner_does_not_connect(diagonal: int, parts: int) -> None:
    assert painted(np.array([[1, diagonal], [0, 1]], np.uint8))[1] == parts


def test_kept_parts_are_numbered_without_gaps() -> None:
    parts = find_parts(np.array([[1, 0, 1, 0, 1, 1]], np.uint8))
    assert parts.numbered(np.array([False, True, False, True])).tolist() == [1, 0, 2]
    assert parts.area().tolist() == [0, 1, 1, 2]
