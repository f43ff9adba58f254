import numpy as np

from regdata.cells.table import CellTable, concatenate


def two() -> CellTable:
    return CellTable(
        xy=np.array([[1.0, 2.0], [10.0, 20.0]]),
        vertices=np.arange(14, dtype=np.float32).reshape(7, 2),
        offsets=np.array([0, 3, 7]),
        tokens=np.array([[1], [2]], np.float16),
        kind=np.array([1, 2], np.uint8),
        kind_probability=np.array([0.5, 0.6], np.float32),
        probability=np.array([0.5, 0.6], np.float32),
        area_um2=np.array([0.5, 0.6], np.float32),
        flags=np.zeros(2, np.uint8),
    )


def test_take_keeps_contours_with_their_cells() -> None:
    cells = two()
    swapped = cells.take(np.array([1, 0, 1]))
    assert swapped.offsets.tolist() == [0, 4, 7, 11]
    assert np.array_equal(swapped.contour(0), cells.contour(1))
    assert np.array_equal(swapped.contour(1), cells.contour(0))
    assert swapped.tokens.ravel().tolist() == [2, 1, 2]
    masked = cells.take(np.array([False, True]))
    assert np.array_equal(masked.contour(0), cells.contour(1))
    assert len(cells.take(np.zeros(2, bool))) == 0


def test_concatenate() -> None:
    cells = two()
    joined = concatenate([cells, CellTable.empty(1), cells], 1)
    assert len(joined) == 4
    assert np.array_equal(joined.contour(3), cells.contour(1))
    assert joined.offsets.tolist() == [0, 3, 7, 10, 14]
    assert len(concatenate([], 5)) == 0
    assert concatenate([], 5).tokens.shape == (0, 5)


def test_scale_moves_points_and_nothing_else() -> None:
    moved = two().scale(2.0, (100.0, 10.0))
    assert moved.xy.tolist() == [[102.0, 14.0], [120.0, 50.0]]
    assert moved.vertices[1].tolist() == [104.0, 16.0]
    assert moved.area_um2.tolist() == two().area_um2.tolist()
