import json
from dataclasses import replace

import numpy as np
import pytest

from regdata.cells.table import CellTable
from regdata.cellvit.published.records import SlideFacts, cell_records

FACTS = SlideFacts(size=(2500, 2500), mpp=0.25, mpp_used=0.25, magnification=40.0)
# tile (1, 1) covers pixels 928 to 1951, its core 960 to 1919; 992 to 1887 is clear of margins


def table(boxes, scale=1.0):
    """Cells whose contours are the corner pixels of boxes [[row, column], [end, end]]."""
    corners = []
    for (top, left), (bottom, right) in boxes:
        corners += [[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]]
    vertices = np.array(corners, np.float64) + 0.5
    count = len(boxes)
    return CellTable(
        xy=vertices.reshape(-1, 4, 2).mean(1) * scale,
        vertices=(vertices * scale).astype(np.float32),
        offsets=np.arange(0, 4 * count + 1, 4),
        tokens=np.zeros((count, 1), np.float16),
        kind=np.full(count, 2, np.uint8),
        kind_probability=np.full(count, 0.75, np.float32),
        probability=np.ones(count, np.float32),
        area_um2=np.ones(count, np.float32),
        flags=np.zeros(count, np.uint8),
    )


def records(boxes, facts=FACTS, scale=1.0):
    return [json.loads(full) for full, _ in cell_records(table(boxes, scale), facts)]


def test_metadata_of_the_published_example():
    assert FACTS.metadata() == {
        "orig_n_tiles_cols": 3,
        "orig_n_tiles_rows": 3,
        "base_magnification": 40.0,
        "downsampling": 1,
        "label_map": {"background": 0},
        "patch_overlap": 64,
        "patch_size": 1024,
        "base_mpp": 0.25,
        "target_patch_mpp": 0.25,
        "stain_normalization": False,
        "magnification": 40.0,
        "level": 12,
    }


@pytest.mark.parametrize(
    ("mpp", "used", "given", "expected"),
    [
        (0.25, 0.25, None, (40.0, 40.0, 1, 17)),
        (0.5, 0.5, None, (20.0, 20.0, 1, 17)),
        (0.125, 0.25, None, (80.0, 40.0, 2, 16)),
        (0.5, 0.25, 20.0, (20.0, 40.0, 1, 17)),
        (0.0625, 0.25, 160.0, (160.0, 40.0, 4, 15)),
    ],
)
def test_magnification_and_level(mpp, used, given, expected):
    found = SlideFacts((65537, 100), mpp, used, given).metadata()
    names = ("base_magnification", "magnification", "downsampling", "level")
    assert tuple(found[name] for name in names) == expected


@pytest.mark.parametrize(
    ("size", "facts", "shape"),
    [
        ((960, 961), {}, (2, 1)),
        ((10, 10), {}, (1, 1)),
        ((2000, 1000), {"mpp_used": 0.5}, (1, 2)),
        ((500, 300), {"tile": 512, "overlap": 0}, (1, 1)),
    ],
)
def test_tiles(size, facts, shape):
    found = SlideFacts(size, 0.25, **({"mpp_used": 0.25} | facts)).metadata()
    assert (found["orig_n_tiles_rows"], found["orig_n_tiles_cols"]) == shape


def test_a_record_by_hand():
    boxes = [[[188, 286], [219, 317]], [[930, 1300], [980, 1321]]]
    first, second = records(boxes)
    assert first == {
        "bbox": [[188, 286], [219, 317]],
        "centroid": [301.0, 203.0],
        "contour": [[286, 188], [316, 188], [316, 218], [286, 218]],
        "type_prob": 0.75,
        "type": 2,
        "patch_coordinates": [0, 0],
        "cell_status": 0,
        "offset_global": [-32, -32],
        "edge_position": False,
    }
    # centroid in row 954.5, so the tile above: rows -32 to 991, margin from 928 on
    assert second["patch_coordinates"] == [0, 1]
    assert second["offset_global"] == [-32, 928]
    assert second["cell_status"] == 6
    assert list(first) == [
        *("bbox", "centroid", "contour", "type_prob", "type"),
        *("patch_coordinates", "cell_status", "offset_global", "edge_position"),
    ]
    short = [json.loads(text) for _, text in cell_records(table(boxes), FACTS)]
    assert short[0] == {"bbox": [[188, 286], [219, 317]], "centroid": [301.0, 203.0], "type": 2}
    assert "centroid" in short[1]


def test_the_type_probability_is_a_real_number():
    cells = table([[[10, 10], [20, 20]]] * 3)
    shares = np.array([0.251, 0.9999999, 1], np.float32)
    found = cell_records(replace(cells, kind_probability=shares), FACTS)
    assert [json.loads(full)["type_prob"] for full, _ in found] == [0.251, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "columns", "status"),
    [
        ((1000, 1020), (1000, 1020), 0),
        ((992, 1020), (1868, 1888), 0),  # up to the margin on both sides
        ((991, 1020), (991, 1020), 1),
        ((991, 1020), (1000, 1020), 2),
        ((970, 990), (1880, 1889), 3),
        ((1000, 1020), (1880, 1889), 4),
        ((1880, 1900), (1880, 1900), 5),
        ((1880, 1889), (1000, 1020), 6),
        ((1880, 1900), (970, 990), 7),
        ((1000, 1020), (970, 990), 8),
    ],
)
def test_status(rows, columns, status):
    (found,) = records([[[rows[0], columns[0]], [rows[1], columns[1]]]])
    assert found["patch_coordinates"] == [1, 1]
    assert found["cell_status"] == status
    assert found["edge_position"] is False
    assert "edge_information" not in found


LOW, HIGH = (928, 1000), (1900, 1952)  # touches the first, the last pixel of tile (1, 1)
MID = (1400, 1420)


@pytest.mark.parametrize(
    ("rows", "columns", "position", "patches"),
    [
        (LOW, MID, [1, 0, 0, 0], [[0, 1]]),
        (MID, HIGH, [0, 1, 0, 0], [[1, 2]]),
        (HIGH, MID, [0, 0, 1, 0], [[2, 1]]),
        (MID, LOW, [0, 0, 0, 1], [[1, 0]]),
        (LOW, HIGH, [1, 1, 0, 0], [[0, 1], [0, 2], [1, 2]]),
        (HIGH, HIGH, [0, 1, 1, 0], [[1, 2], [2, 2], [2, 1]]),
        (HIGH, LOW, [0, 0, 1, 1], [[2, 1], [2, 0], [1, 0]]),
        (LOW, LOW, [1, 0, 0, 1], [[1, 0], [0, 0], [0, 1]]),
        ((928, 1952), MID, [1, 0, 1, 0], None),
        ((928, 1952), HIGH, [1, 1, 1, 0], None),
    ],
)
def test_edges(rows, columns, position, patches):
    cells = table([[[rows[0], columns[0]], [rows[1], columns[1]]]])
    cells = replace(cells, xy=np.clip(cells.xy, 961, 1919))
    ((full, _),) = cell_records(cells, FACTS)
    found = json.loads(full)
    assert found["edge_position"] is True
    assert found["edge_information"] == {"position": position, "edge_patches": patches}
    assert list(found)[-1] == "edge_information"


def test_one_pixel_inside_is_no_edge():
    assert records([[[929, 1400], [1000, 1420]]])[0]["edge_position"] is False
    assert records([[[1900, 1400], [1951, 1420]]])[0]["edge_position"] is False


def test_places_are_those_of_the_tiles_resolution_and_positions_of_the_slide():
    facts = SlideFacts(size=(5000, 5000), mpp=0.125, mpp_used=0.25)
    (found,) = records([[[991, 1000], [1020, 1020]]], facts, scale=2.0)
    assert found["patch_coordinates"] == [1, 1]
    assert found["offset_global"] == [928, 928]
    assert found["cell_status"] == 2
    # index 991 of a tile is centred at 2 * 991.5 = 1983 from the corner: pixel 1982 or 1983
    assert found["bbox"][0][0] in (1982, 1983)
    assert found["centroid"] == [pytest.approx(2019, abs=1), pytest.approx(2010, abs=1)]


def test_the_last_tile_takes_what_lies_beyond_it():
    cells = replace(table([[[2490, 2490], [2500, 2500]]]), xy=np.array([[2990.0, 2990.0]]))
    ((full, _),) = cell_records(cells, FACTS)
    assert json.loads(full)["patch_coordinates"] == [2, 2]


def test_no_cells():
    assert list(cell_records(CellTable.empty(3), FACTS)) == []
