"""The chain end to end on a simulated section whose truth is known."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anndata
import cv2
import numpy as np
import pandas as pd
import pytest
from simulated import SimulatedPair

from regdata.cells.dataset import read_dataset
from regdata.cells.table import CellTable
from regdata.chain import measuring, nuclei, output, registering
from regdata.chain.options import BuildOptions
from regdata.chain.pipeline import build
from regdata.errors import RegdataError
from regdata.registration.registration import Registration
from regdata.slides.slide import Slide
from regdata.slides.write_tiff import write_ome_tiff
from regdata.studies.demo import judge_labels, registration_error
from regdata.transforms.transform import Transform

Segment = Callable[..., Iterator[CellTable]]
ALL = {"register", "correct DAPI", "correct CD3", "cells", "measure", "label"}


def options(pair: SimulatedPair, output: Path, **changes: object) -> BuildOptions:
    asked = {"he": pair.he, "if_": pair.if_, "output": output, "markers": ("CD3",), **changes}
    return BuildOptions.model_validate(asked)


@pytest.fixture(scope="module")
def built(pair: SimulatedPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built") / "lymphocytes.h5"
    build(options(pair, output))
    return output


def test_the_labels_are_right(pair: SimulatedPair, built: Path) -> None:
    dataset = read_dataset(built)
    judged = judge_labels(dataset, pair.truth)
    assert judged.detected > 0.8
    assert judged.precision > 0.95
    assert judged.recall > 0.75  # a tenth of the positives stay unstained
    assert registration_error(dataset, pair.truth)["median"] < 0.25


def test_every_nucleus_knows_how_well_its_place_is_registered(
    pair: SimulatedPair, built: Path
) -> None:
    dataset = read_dataset(built)
    claimed = dataset.obs["registration_error_um"].to_numpy()
    assert np.isfinite(claimed).mean() > 0.9
    assert np.nanmedian(claimed) < 0.5
    folder = built.parent / "qc" / "lymphocytes_registration"
    names = {path.name for path in folder.iterdir()}
    assert {"quality.csv", "quality.geojson", "quality_error.png"} <= names
    tiles = pd.read_csv(folder / "quality.csv")
    assert (tiles["status"] == "accept").mean() > 0.7


def test_the_file_says_how_it_was_made(pair: SimulatedPair, built: Path) -> None:
    data = anndata.read_h5ad(built)
    about = data.uns["regdata"]
    asked = json.loads(about["options"])
    assert asked["overlap"] == 0.15
    assert asked["markers"] == ["CD3"]
    assert about["thresholds"]["CD3"]["method"].startswith("local:200 around")
    assert about["thresholds"]["CD3"]["value"] > 0
    assert len(about["model"]["sha256"]) == 64
    assert about["transform"]["maps"] == "he_to_if"
    assert np.linalg.det(about["transform"]["matrix"]) < 0  # the IF slide is mirrored
    assert {"torch", "numpy", "regdata"} <= set(about["versions"])
    assert {"slide", "patient", "label", "overlap_CD3", "area_um2", "probability", "flags"} <= set(
        data.obs
    )
    positive = (data.obs["label"] == "CD3").to_numpy()
    assert (data.obs["overlap_CD3"][positive] > 0.15).all()
    negative = (data.obs["label"] == "negative").to_numpy()
    assert (data.obs["overlap_CD3"][negative] <= 0.05).all()
    unknown = ~(positive | negative)
    assert ((data.obs["reason"] == "none").to_numpy() == ~unknown).all()
    assert data.obs["label_probability"][~unknown].min() >= 0.8
    assert np.isfinite(data.X.astype(np.float32)).all()


def test_pictures_and_geojson_lie_beside_it(built: Path) -> None:
    names = {path.name for path in (built.parent / "qc").iterdir() if path.is_file()}
    wanted = ("overlay", "overlay_detail", "checkerboard", "CD3", "cells")
    pictures = {f"lymphocytes_{name}.png" for name in wanted}
    assert pictures | {"lymphocytes.html"} == names
    for name in pictures:
        picture = cv2.imread(str(built.parent / "qc" / name))
        assert picture is not None
        assert picture.std() > 5
    with gzip.open(built.parent / "lymphocytes.cells.geojson.gz", "rt") as file:
        features = json.load(file)["features"]
    dataset = read_dataset(built)
    assert len(features) == len(dataset.cells)
    named = [f["properties"]["classification"]["name"] for f in features]
    assert named == dataset.obs["label"].astype(str).tolist()


def test_a_rerun_keeps_everything(pair: SimulatedPair, built: Path) -> None:
    before = built.stat().st_mtime_ns
    summary = build(options(pair, built))
    assert set(summary.kept) == ALL
    assert built.stat().st_mtime_ns == before
    assert sum(summary.counts.values()) == len(read_dataset(built).cells)


def test_other_options_need_overwrite_and_redo_what_depends(
    pair: SimulatedPair, built: Path
) -> None:
    with pytest.raises(RegdataError, match="pass `overwrite=True`"):
        build(options(pair, built, overlap=0.98))
    summary = build(options(pair, built, overlap=0.98, overwrite=True))
    assert set(summary.kept) == ALL - {"label"}
    strict = read_dataset(built).obs["label"].value_counts()
    build(options(pair, built, overwrite=True))
    usual = read_dataset(built).obs["label"].value_counts()
    assert 0 < strict["CD3"] < usual["CD3"]


def test_a_lost_table_of_tiles_is_made_again(pair: SimulatedPair, built: Path) -> None:
    table = built.with_suffix(".run") / "quality.csv"
    before = table.read_text()
    table.unlink()
    summary = build(options(pair, built))
    assert "register" not in summary.kept
    assert table.read_text() == before


def test_a_map_that_few_tiles_bear_out_is_refused(
    pair: SimulatedPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registering.register

    def shifted(*given: object) -> Registration:
        found = real(*given)
        lost = np.array([[1.0, 0, 30], [0, 1, -20], [0, 0, 1]])
        return replace(found, he_to_if=found.he_to_if.then(Transform.affine(lost)))

    monkeypatch.setattr(registering, "register", shifted)
    with pytest.raises(RegdataError, match=r"cannot be registered well enough .* tiles agree"):
        build(options(pair, tmp_path / "x.h5"))
    assert not (tmp_path / "x.h5").exists()


STAGES = {
    "register": (registering, set()),
    "tissue_histogram": (measuring, {"register"}),
    "slide_cells": (nuclei, {"register", "correct DAPI", "correct CD3"}),
    "measure": (measuring, ALL - {"measure", "label"}),
    "iterate_cells": (output, ALL - {"label"}),
    "write_pictures": (output, ALL),
}


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_anywhere_and_run_again(
    pair: SimulatedPair,
    perfect_segment: Segment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    monkeypatch.setattr(nuclei, "slide_cells", perfect_segment)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "x.h5"
    with monkeypatch.context() as patch:
        patch.setattr(STAGES[stage][0], stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(options(pair, output))
    assert not output.exists()
    assert not list(tmp_path.rglob("*.part"))
    summary = build(options(pair, output))
    assert set(summary.kept) == STAGES[stage][1]
    assert summary.counts["CD3"] > 20


def test_several_markers_make_one_class(
    pair: SimulatedPair, perfect_segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuclei, "slide_cells", perfect_segment)
    output = tmp_path / "x.h5"
    names = {"markers": ("T", "1"), "channel_names": "nuclei,T", "dapi": "NUCLEI"}
    build(options(pair, output, classes={"lymphocyte": ("T", "1")}, **names))
    dataset = read_dataset(output)
    assert dataset.classes == ("negative", "lymphocyte")
    assert np.array_equal(dataset.obs["overlap_T"], dataset.obs["overlap_1"])
    assert (dataset.obs["label"] == "lymphocyte").sum() > 20


def test_nuclei_off_the_if_slide_have_no_label(
    pair: SimulatedPair, perfect_segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuclei, "slide_cells", perfect_segment)
    from regdata.slides.open import open_slide

    whole: Slide = open_slide(pair.if_)
    cut = whole.read((0, 0), (whole.size[0], int(0.7 * whole.size[1])))
    write_ome_tiff(tmp_path / "cut.ome.tif", cut, whole.mpp, whole.channels)
    output = tmp_path / "x.h5"
    counts = build(options(pair, output, if_=tmp_path / "cut.ome.tif")).counts
    dataset = read_dataset(output)
    unknown = dataset.labels == -1
    off = (dataset.obs["flags"].to_numpy() & 2) == 2
    assert off.sum() > 20
    assert counts["unknown"] == unknown.sum()
    assert unknown[off].all()
    assert dataset.obs["reason"][off].isin(["edge", "outside_if"]).all()
