from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.chain.labelled import label_columns, thresholds
from regdata.chain.options import LabelOptions
from regdata.errors import RegdataError
from regdata.labelling.measuring.intensity import LEVELS
from regdata.labelling.measuring.measured import Measured
from regdata.labelling.rules.labels import Nuclei
from regdata.labelling.thresholds.histogram import Histogram

COUNT = 400
SIZE_UM = (500.0, 500.0)


def nuclei(seed: int = 0) -> Nuclei:
    """CD3 lies in nuclei, CD8 in rings; the other compartment of each is dark."""
    rng = np.random.default_rng(seed)
    columns: dict[str, NDArray[np.float32]] = {
        "mean_DAPI": np.full(COUNT, 500, np.float32),
        "ring_mean_DAPI": np.full(COUNT, 90, np.float32),
    }
    curves = {}
    for name, bright in (("CD3", "nucleus"), ("CD8", "ring")):
        for part in ("nucleus", "ring"):
            stained = rng.random(COUNT) < (0.3 if part == bright else 0)
            light = np.where(stained, rng.normal(800, 90, COUNT), rng.normal(20, 4, COUNT))
            fall = np.linspace(1.2, 0.8, LEVELS + 1)
            curves[f"{part}_{name}"] = (light[:, None] * fall).astype(np.float32)
            prefix = "ring_" if part == "ring" else ""
            columns[f"{prefix}mean_{name}"] = light.astype(np.float32)
    xy = rng.uniform(0, SIZE_UM[0], (COUNT, 2))
    flags = np.zeros(COUNT, np.uint8)
    return Nuclei(xy, np.full(COUNT, 3.0), flags, np.full(COUNT, 0.2), Measured(columns, curves))


def pixels(peak: float = 1000.0) -> Histogram:
    rng = np.random.default_rng(9)
    values = np.concatenate([rng.normal(20, 4, 9000), rng.normal(0.8 * peak, 60, 900)])
    return Histogram.of(values.clip(0), None, 0.0, 1.25 * peak, 1024)


PIXELS = {"CD3": pixels(), "CD8": pixels()}
RINGS = LabelOptions(compartments={"CD8": "ring"})


def test_each_marker_has_its_method_and_its_compartment() -> None:
    asked = LabelOptions(
        thresholds={"CD3": "fixed:123", "CD8": "gmm"}, compartments={"CD8": "ring"}
    )
    found = thresholds(nuclei(), PIXELS, asked, SIZE_UM)
    assert found["CD3"].overall == 123
    assert 60 < found["CD8"].overall < 600
    with pytest.raises(RegdataError, match="marker CD8: the nuclei are one population"):
        thresholds(nuclei(), PIXELS, LabelOptions(thresholds={"CD8": "gmm"}), SIZE_UM)


def test_labels_follow_from_the_compartments() -> None:
    here = nuclei()
    found = thresholds(here, PIXELS, RINGS, SIZE_UM)
    columns = label_columns(here, found, RINGS, "DAPI")
    bright = {
        "CD3": here.measured.columns["mean_CD3"] > 300,
        "CD8": here.measured.columns["ring_mean_CD8"] > 300,
    }
    both = bright["CD3"] & bright["CD8"]
    expected = np.select(
        [both, bright["CD3"], bright["CD8"]], ["unknown", "CD3", "CD8"], "negative"
    )
    assert np.array_equal(columns["label"], expected)
    assert np.array_equal(columns["reason"] == "conflict", both)
    assert both.any()


def test_classes_are_rules_over_the_markers() -> None:
    here = nuclei()
    asked = RINGS.model_copy(update={"classes": {"killer": "CD3 & CD8", "helper": "CD3 & ~CD8"}})
    columns = label_columns(here, thresholds(here, PIXELS, asked, SIZE_UM), asked, "DAPI")
    assert set(columns["label"]) == {"killer", "helper", "negative"}


def test_overlaps_that_were_counted_are_used() -> None:
    here = nuclei()
    found = thresholds(here, PIXELS, RINGS, SIZE_UM)
    counted: dict[str, Any] = {"CD3": np.zeros(COUNT, np.float32)}
    columns = label_columns(here, found, RINGS, "DAPI", counted)
    assert not columns["overlap_CD3"].any()
    assert not (columns["label"] == "CD3").any()
    assert (columns["label"] == "CD8").any()


def test_options_reach_the_rule() -> None:
    here = nuclei()
    found = thresholds(here, PIXELS, RINGS, SIZE_UM)
    far = replace(here, error_um=np.full(COUNT, np.nan))
    assert (label_columns(far, found, RINGS, "DAPI")["reason"] == "registration").all()
    legacy = RINGS.model_copy(update={"legacy_overlap": True})
    assert (label_columns(far, found, legacy, "DAPI")["reason"] == "none").all()
    strict = RINGS.model_copy(update={"overlap": 0.99, "ambiguous": 0.0})
    some = label_columns(here, found, strict, "DAPI")
    assert (some["reason"] == "ambiguous").any() or not (some["overlap_CD3"] % 1).any()


def test_errors_count_as_the_file_keeps_them() -> None:
    here = nuclei()
    found = thresholds(here, PIXELS, RINGS, SIZE_UM)
    error = np.random.default_rng(3).uniform(0.1, 4, COUNT)
    one, other = (
        label_columns(replace(here, error_um=e), found, RINGS, "DAPI")
        for e in (error, error.astype(np.float32))
    )
    for name, column in one.items():
        assert np.array_equal(column, other[name], equal_nan=column.dtype.kind == "f"), name
