import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cells.table import CellTable
from regdata.cellvit.tiles.overlap import overlapping


def cells_of(lines: list[NDArray[np.float32]]) -> CellTable:
    count, one = len(lines), np.ones(len(lines), np.float32)
    return CellTable(
        xy=np.array([line.mean(0) for line in lines], np.float64).reshape(-1, 2),
        vertices=np.concatenate([np.zeros((0, 2), np.float32), *lines]),
        offsets=np.cumsum([0, *map(len, lines)]),
        tokens=np.zeros((count, 1), np.float16),
        kind=np.ones(count, np.uint8),
        kind_probability=one,
        probability=one,
        area_um2=one,
        flags=np.zeros(count, np.uint8),
    )


def blobs(seed: int) -> list[NDArray[np.float32]]:
    """Contours of ragged parts of noise, holes and one-pixel bridges included."""
    rng = np.random.default_rng(seed)
    lines: list[NDArray[np.float32]] = []
    for smooth in (0.6, 1.0, 2.0, 4.0):
        noise = ndimage.gaussian_filter(rng.normal(size=(70, 90)), smooth) > 0
        found, _ = cv2.findContours(
            noise.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        lines += [(line[:, 0] + 0.5).astype(np.float32) for line in found]
    return lines


def filled(line: NDArray[np.float32]) -> NDArray[np.bool_]:
    canvas = np.zeros((70, 90), np.uint8)
    cv2.fillPoly(canvas, [np.round(line - 0.5).astype(np.int32)], 1)
    return canvas > 0


@pytest.mark.parametrize("seed", range(3))
def test_pairs_and_areas_are_those_of_opencv(seed: int) -> None:
    lines = blobs(seed)
    tile = np.random.default_rng(seed).integers(0, 3, len(lines))
    pairs, area = overlapping(cells_of(lines), tile)
    masks = np.array([filled(line) for line in lines]).reshape(len(lines), -1).astype(np.int64)
    size = masks.sum(1)
    assert area.tolist() == size.tolist()
    shared = masks @ masks.T > 0.3 * np.minimum(size[:, None], size)
    wanted = np.argwhere(np.triu(shared & (tile[:, None] != tile), 1))
    assert len(wanted) > 20
    assert sorted(pairs.tolist()) == wanted.tolist()


def test_the_limit_is_thirty_percent_of_the_smaller() -> None:
    def bar(left: int, right: int) -> NDArray[np.float32]:
        return np.array([(left, 0), (right, 0), (right, 9), (left, 9)], np.float32) + 0.5

    for shift, same in ((6, True), (7, False)):  # 4 or 3 of 10 columns
        cells = cells_of([bar(0, 9), bar(shift, shift + 9), bar(0, 9)])
        pairs, area = overlapping(cells, np.array([0, 1, 0]))
        assert area.tolist() == [100, 100, 100]
        assert pairs.tolist() == ([[0, 1], [1, 2]] if same else [])


def test_no_cells() -> None:
    pairs, area = overlapping(cells_of([]), np.zeros(0, np.int64))
    assert pairs.shape == (0, 2)
    assert len(area) == 0
