from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata.io import read_elem
from cell_tables import table

from regdata.cells.dataset import read_record, write_dataset
from regdata.cells.record import (
    ChannelRecord,
    GridRecord,
    HistogramRecord,
    MaskRecord,
    MasksRecord,
    ModelRecord,
    Record,
    SegPathRecord,
    SlideRecord,
    ThresholdRecord,
    TilesRecord,
    TransformRecord,
)
from regdata.errors import RegdataError

SLIDE = SlideRecord(path="ä.tif", sha256="f0", mpp=0.25, size=(8, 6), channels=("DAPI", "CD3"))
GRID = np.arange(4, dtype=np.float32).reshape(2, 2)
WHOLE = np.arange(2)
FULL = Record(
    classes=("negative", "CD3"),
    options={"overlap": 0.2, "ambiguous": None, "classes": {"T": "CD3"}, "he": "a"},
    model=ModelRecord(name="n", sha256="1", mpp=0.25, token_width=4, precision="float32"),
    kinds=("background", "a"),
    he=SLIDE,
    if_=replace(SLIDE, path="if"),
    transform=TransformRecord(
        steps={"0": {"kind": "affine", "matrix": np.eye(3)}}, matrix=np.eye(3)
    ),
    registration={"correlation": 0.9},
    nuclear="DAPI",
    channels={
        "CD3": ChannelRecord(
            pixels=HistogramRecord(counts=np.arange(3.0), low=0.0, high=9.0),
            correction={"background": {"max": 2.0, "min": 1.0}},
        )
    },
    thresholds={
        "CD3": ThresholdRecord(
            method="otsu",
            value=2.0,
            contrast=7.0,
            bimodality=0.6,
            separation=3.0,
            grid=GRID,
            grid_weight=GRID,
            tile_um=200.0,
        )
    },
    masks=MasksRecord(
        slide=SLIDE, ratio=2, markers={"M": MaskRecord(channel="m", values=(0.0, 1.0), share=0.5)}
    ),
    segpath=SegPathRecord(
        antigen="A",
        cell_type="B",
        images=3,
        slides=("1", "2"),
        sha256="x",
        splits="list.csv",
        leaks={"slide 1": ("train", "val")},
    ),
    key="k",
    grid=GridRecord(tile=256, overlap=64, mpp=0.25),
    tiles=TilesRecord(
        row=WHOLE,
        column=WHOLE,
        cells=WHOLE,
        focus=GRID[0],
        fold=GRID[0],
        pen=GRID[0],
        skipped=WHOLE > 0,
    ),
    settings={"segment": {"skip_bad": False}},
    classifier={"classes": ["a"]},
    flags={"edge": 1},
    reasons={"none": "known"},
    versions={"regdata": "0"},
)


def text(record: Record) -> str:
    return repr(record)


def test_the_example_is_full() -> None:
    empty = Record()
    assert [f.name for f in fields(Record) if getattr(FULL, f.name) == getattr(empty, f.name)] == []


@pytest.mark.parametrize("record", [FULL, Record(), Record(he=SLIDE, classes=("negative",))])
def test_a_record_survives_the_file(tmp_path: Path, record: Record) -> None:
    assert text(Record.from_dict(record.to_dict())) == text(record)
    with write_dataset(tmp_path / "x.h5", 4) as out:
        out.append(table(3))
        out.finish(("background", "small", "large"), record)
    found = read_record(tmp_path / "x.h5")
    assert found.versions["numpy"] == np.__version__
    assert text(replace(found, versions=record.versions)) == text(record)
    with h5py.File(tmp_path / "x.h5") as file:
        assert int(file["uns/regdata/schema"][()]) == 2


def test_rules_are_those_of_the_options() -> None:
    assert (FULL.rules.overlap, FULL.rules.ambiguous) == (0.2, None)
    assert FULL.rules.classes == {"T": "CD3"}
    assert Record().rules.overlap is None


def test_a_file_without_a_map_says_so() -> None:
    assert set(FULL.he_to_if) == {"0"}
    with pytest.raises(RegdataError, match="built from an IF slide"):
        _ = Record().he_to_if


def test_what_segment_wrote_in_schema_1_is_read() -> None:
    slide = {"path": "a.svs", "mpp": 0.25, "width": 8, "height": 6}
    found = Record.from_dict({"schema": 1, "slide": slide, "key": "k", "settings": '{"a": 1}'})
    assert found.he == SlideRecord(path="a.svs", mpp=0.25, size=(8, 6))
    assert (found.key, found.settings) == ("k", {"a": 1})


def test_what_masks_wrote_in_schema_1_is_read() -> None:
    slide = {
        "path": "m.png",
        "sha256": "f",
        "mpp": 0.0,  # not known
        "size": np.array([8, 6]),
        "channels": np.array(["grey"], dtype=object),
    }
    marker = {"channel": "grey", "values": np.array([0.0, 1.0]), "share": np.float64(0.1)}
    masks = {**slide, "ratio": np.int64(1), "markers": {"CD3": marker}}
    found = Record.from_dict({"schema": 1, "he": {**slide, "mpp": 0.25}, "masks": masks}).masks
    assert found is not None
    assert found.slide == SlideRecord(path="m.png", sha256="f", size=(8, 6), channels=("grey",))
    assert found.markers == {"CD3": MaskRecord(channel="grey", values=(0.0, 1.0), share=0.1)}


OLD = Path(__file__).parents[1] / "data" / "schema1.h5"


def test_a_file_of_schema_1_says_the_same_as_ever() -> None:
    found = read_record(OLD)
    with h5py.File(OLD) as file:
        stored = read_elem(file["uns/regdata"])
    assert int(stored["schema"]) == 1
    assert found.classes == ("negative", "CD3")
    assert found.he.size == tuple(stored["he"]["size"])
    assert (found.he.mpp, found.model.sha256) == (0.25, stored["model"]["sha256"])
    assert found.thresholds["CD3"].value == stored["thresholds"]["CD3"]["value"]
    assert found.channels["CD3"].pixels.counts.sum() > 0
    assert found.rules.overlap == 0.15
    assert found.he_to_if
