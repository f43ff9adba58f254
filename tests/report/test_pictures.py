from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.cells.dataset import label_index
from regdata.cells.geojson import colour
from regdata.cells.table import CellTable
from regdata.report.pictures import caption, checkerboard, draw_cells, mark_mask, overlay, write_png


def blob(x: int, y: int, side: int = 100) -> np.ndarray:
    rows, columns = np.indices((side, side))
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < 100)


def he_of(mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], (80, 60, 140), (240, 240, 240)).astype(np.uint8)


def test_aligned_nuclei_are_white_and_others_coloured() -> None:
    he = he_of(blob(30, 30) | blob(70, 30))
    dapi = (blob(30, 30) | blob(30, 70)) * 100.0
    picture = overlay(he, dapi)
    assert picture[30, 30].min() > 200  # both
    assert picture[30, 70].tolist() == [0, picture[30, 70, 1], 0]  # hematoxylin only: green
    assert picture[30, 70, 1] > 200
    assert picture[70, 30].tolist() == [255, 0, 255]  # DAPI only: magenta
    assert picture[90, 90].max() == 0


def test_squares_take_turns() -> None:
    he = np.full((100, 100, 3), 200, np.uint8)
    dapi = np.zeros((100, 100))
    dapi[0, 0] = 1
    board = checkerboard(he, dapi, square=50)
    assert board[10, 10].tolist() == board[60, 60].tolist() == [200, 200, 200]
    assert board[10, 60].tolist() == [0, 0, 0]


def test_outlines_lie_on_their_cells() -> None:
    square = np.array([[100.5, 200.5], [119.5, 200.5], [119.5, 219.5], [100.5, 219.5]], np.float32)
    ones = np.ones(1, np.float32)
    cells = CellTable(
        xy=np.array([[110.0, 210.0]]),
        vertices=square,
        offsets=np.array([0, 4]),
        tokens=np.zeros((1, 1), np.float16),
        kind=np.ones(1, np.uint8),
        kind_probability=ones,
        probability=ones,
        area_um2=ones,
        flags=np.zeros(1, np.uint8),
    )
    canvas = np.full((40, 40, 3), 255, np.uint8)
    drawn = draw_cells(canvas, cells, np.array([0]), (95.0, 195.0), 1.0)
    changed = np.argwhere(drawn[..., 0] < 190)  # the line, without its soft edge
    assert changed.min(0).tolist() == [5, 5]  # pixel 100 of the slide is pixel 5 of the picture
    assert changed.max(0).tolist() == [24, 24]
    assert np.abs(drawn[5, 15].astype(int) - colour(0)).max() < 20
    assert (canvas == 255).all()


def test_mask_is_a_veil() -> None:
    he = np.full((4, 4, 3), 200, np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    veiled = mark_mask(he, mask)
    assert veiled[0, 0, 2] < 140  # yellow takes blue away
    assert veiled[1, 1].tolist() == [200, 200, 200]


def test_pictures_are_written_as_rgb(tmp_path: Path) -> None:
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 0] = 255
    write_png(tmp_path / "x.png", caption(red, "text"))
    stored = cv2.imread(str(tmp_path / "x.png"))
    assert stored is not None
    assert stored.shape == (58, 40, 3)
    assert stored[-1, -1].tolist() == [0, 0, 255]  # OpenCV reads BGR


@pytest.mark.parametrize(("name", "index"), [("negative", 0), ("CD3", 1), ("other", -1)])
def test_label_index(name: str, index: int) -> None:
    assert label_index([name], ["negative", "CD3"]).tolist() == [index]
