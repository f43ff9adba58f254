import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from regdata.cells import dataset
from regdata.cells.dataset import write_dataset
from regdata.cells.table import CellTable
from regdata.cellvit.published import files as module
from regdata.cellvit.published.files import write_reference_files
from regdata.cellvit.published.records import SlideFacts
from regdata.errors import RegdataError

KINDS = ("background", "Neoplastic", 'odd "né"')
FACTS = SlideFacts(size=(1000, 500), mpp=0.25, mpp_used=0.25, magnification=40.0)
HEAD = {
    "wsi_metadata": {
        "orig_n_tiles_cols": 2,
        "orig_n_tiles_rows": 1,
        "base_magnification": 40.0,
        "downsampling": 1,
        "label_map": {"background": 0},
        "patch_overlap": 64,
        "patch_size": 1024,
        "base_mpp": 0.25,
        "target_patch_mpp": 0.25,
        "stain_normalization": False,
        "magnification": 40.0,
        "level": 10,
    },
    "type_map": {"1": "Neoplastic", "2": 'odd "né"'},
}
CELLS = [
    {
        "bbox": [[100, 200], [103, 205]],
        "centroid": [202.0, 101.0],
        "contour": [[200, 100], [204, 100], [204, 102]],
        "type_prob": 0.625,
        "type": 1,
        "patch_coordinates": [0, 0],
        "cell_status": 0,
        "offset_global": [-32, -32],
        "edge_position": False,
    },
    {
        "bbox": [[0, 970], [7, 981]],
        "centroid": [975.0, 3.0],
        "contour": [[970, 0], [980, 3], [975, 6], [972, 4]],
        "type_prob": 0.875,
        "type": 2,
        "patch_coordinates": [0, 1],
        "cell_status": 1,
        "offset_global": [-32, 928],
        "edge_position": False,
    },
]


@pytest.fixture
def cells():
    contours = [np.array(cell["contour"]) + 0.5 for cell in CELLS]
    return CellTable(
        xy=np.array([[202.7, 101.4], [975.2, 3.6]]),  # 0.5 more than an index
        vertices=np.concatenate(contours).astype(np.float32),
        offsets=np.array([0, 3, 7]),
        tokens=np.array([[1, 2, 3], [4, 5, 6.5]], np.float16),
        kind=np.array([1, 2], np.uint8),
        kind_probability=np.array([0.625, 0.875], np.float32),
        probability=np.ones(2, np.float32),
        area_um2=np.ones(2, np.float32),
        flags=np.zeros(2, np.uint8),
    )


@pytest.fixture
def stored(tmp_path):
    def write(cells):
        with write_dataset(tmp_path / "cells.h5", cells.tokens.shape[1]) as out:
            out.append(cells)
            out.finish((*KINDS, "unnamed"))
        return tmp_path / "cells.h5"

    return write


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("portion", [1, 8192])
def test_files_by_hand(stored, cells, tmp_path, monkeypatch, portion):
    monkeypatch.setattr(
        module, "iterate_cells", lambda path, **_: dataset.iterate_cells(path, portion)
    )
    paths = write_reference_files(stored(cells), tmp_path / "out" / "slide", FACTS, KINDS)
    names = ["cells.json", "cell_detection.json", "cells.pt"]
    assert paths == [tmp_path / "out" / "slide" / name for name in names]
    assert sorted(os.listdir(tmp_path / "out" / "slide")) == sorted(names)
    assert read_json(paths[0]) == {**HEAD, "cells": CELLS}
    short = [{name: cell[name] for name in ("bbox", "centroid", "type")} for cell in CELLS]
    assert read_json(paths[1]) == {**HEAD, "cells": short}
    assert b" " not in paths[0].read_bytes().replace(b'odd \\"', b"")  # compact
    graph = torch.load(paths[2], weights_only=True)
    assert graph["metadata"] == {
        "wsi_metadata": HEAD["wsi_metadata"],
        "nuclei_types": HEAD["type_map"],
    }
    expected = {
        "x": torch.tensor([[1, 2, 3], [4, 5, 6.5]], dtype=torch.float32),
        "positions": torch.tensor([[202, 101], [975, 3]], dtype=torch.float32),
        "nuclei_types": torch.tensor([1, 2], dtype=torch.int64),
    }
    assert graph.keys() == {*expected, "metadata"}
    for name, value in expected.items():
        torch.testing.assert_close(graph[name], value, rtol=0, atol=0)


def test_names_that_begin_with_the_slide(stored, cells, tmp_path):
    paths = write_reference_files(stored(cells), tmp_path / "out" / "a.b_", FACTS, KINDS)
    names = ["a.b_cells.json", "a.b_cell_detection.json", "a.b_cells.pt"]
    assert [path.name for path in paths] == names
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)


def test_no_cells(stored, tmp_path):
    paths = write_reference_files(stored(CellTable.empty(5)), tmp_path / "out", FACTS, KINDS)
    assert read_json(paths[0]) == read_json(paths[1]) == {**HEAD, "cells": []}
    graph = torch.load(paths[2], weights_only=True)
    assert graph["x"].shape == (0, 5)
    assert graph["positions"].shape == (0, 2)


def test_tokens_are_mapped_and_not_held(stored, cells, tmp_path, monkeypatch):
    shapes = []

    def memmap(file, dtype, mode, shape):
        shapes.append(shape)
        return np.zeros(shape, dtype)

    monkeypatch.setattr(np, "memmap", memmap)
    write_reference_files(stored(cells), tmp_path / "out", FACTS, KINDS)
    assert shapes == [(2, 3)]


def test_a_kind_without_a_name(stored, cells, tmp_path):
    source = stored(replace(cells, kind=np.array([1, 3], np.uint8)))
    with pytest.raises(RegdataError, match="has cells of kind 3, but only 3 kinds are named"):
        write_reference_files(source, tmp_path / "out", FACTS, KINDS)
    assert os.listdir(tmp_path / "out") == []


def test_a_failed_write_leaves_the_old_files(stored, cells, tmp_path, monkeypatch):
    source = stored(cells)
    paths = write_reference_files(source, tmp_path / "out", FACTS, KINDS)
    before = [path.read_bytes() for path in paths]

    def full(content, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    facts = replace(FACTS, mpp=0.24)
    with pytest.raises(RegdataError, match=r"cannot write .*No space left") as error:
        write_reference_files(source, tmp_path / "out", facts, KINDS)
    assert "\n" not in error.value.message
    assert [path.read_bytes() for path in paths] == before
    assert len(os.listdir(tmp_path / "out")) == 3


def test_no_file_of_cells(tmp_path):
    with pytest.raises(RegdataError, match="no such file"):
        write_reference_files(tmp_path / "none.h5", tmp_path / "out", FACTS, KINDS)
    assert not (tmp_path / "out").exists()
