"""Labels from overlaps with masks, and what overrides the rule."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour

from regdata.cells.table import BLURRED, EDGE
from regdata.labelling.measuring.measured import Measured
from regdata.labelling.rules.labels import Nuclei
from regdata.labelling.rules.mask_labels import label_masked, transfer
from regdata.labelling.rules.overlap_rule import LabelRule
from regdata.labelling.rules.reasons import bit
from regdata.labelling.rules.rules import parse_rules


def nuclei(count: int, **known: NDArray[np.generic]) -> Nuclei:
    flags = np.asarray(known.get("flags", np.zeros(count)), np.uint8)
    red = np.asarray(known.get("red_cells", np.zeros(count)), np.float32)
    nothing = np.full(count, np.nan)
    measured = Measured({"red_cells": red})
    return Nuclei(np.zeros((count, 2)), np.ones(count), flags, nothing, measured)


def test_at_the_cut_offs_themselves() -> None:
    rules = parse_rules(["CD3 = CD3"], ["CD3"])
    shares = np.array([1 / 20, 6 / 100, 3 / 20, 15 / 100, 16 / 100])
    found = label_masked(nuclei(5), {"CD3": shares}, rules, LabelRule())
    assert found["label"].tolist() == ["negative", "unknown", "unknown", "unknown", "CD3"]
    legacy = label_masked(nuclei(5), {"CD3": shares}, rules, LabelRule(legacy=True))
    assert legacy["label"].tolist() == ["negative", "negative", "CD3", "CD3", "CD3"]


def test_three_valued_classes() -> None:
    rules = parse_rules(["T = CD3", "B = CD20 & ~CD3"], ["CD3", "CD20"])
    three = np.array([0.0, 0.5, 0.1, 0.1, 0.0])
    twenty = np.array([0.0, 0.9, 0.9, 0.0, 0.9])
    found = label_masked(nuclei(5), {"CD3": three, "CD20": twenty}, rules, LabelRule())
    assert found["label"].tolist() == ["negative", "T", "unknown", "unknown", "B"]
    assert found["reason"].tolist() == ["none", "none", "ambiguous", "ambiguous", "none"]
    assert found["overlap_CD20"].dtype == np.float32
    assert np.isnan(found["label_probability"]).all()


def test_two_classes_conflict_or_the_larger_overlap_decides() -> None:
    rules = parse_rules(["T = CD3", "B = CD20"], ["CD3", "CD20"])
    overlaps = {"CD3": np.array([0.3, 0.4, 0.3]), "CD20": np.array([0.4, 0.3, 0.3])}
    found = label_masked(nuclei(3), overlaps, rules, LabelRule())
    assert found["label"].tolist() == ["unknown"] * 3
    assert set(found["reason"]) == {"conflict"}
    legacy = label_masked(nuclei(3), overlaps, rules, LabelRule(legacy=True))
    assert legacy["label"].tolist() == ["B", "T", "T"]


def test_the_he_overrides_the_mask_except_in_the_published_rule() -> None:
    rules = parse_rules(["T = CD3"], ["CD3"])
    known = {
        "flags": np.array([EDGE, BLURRED, 0, 0]),
        "red_cells": np.array([0, 0, 0.9, 0.4]),
    }
    overlaps = {"CD3": np.full(4, 0.1)}
    found = label_masked(nuclei(4, **known), overlaps, rules, LabelRule(ambiguous=0.15))
    assert found["reason"].tolist() == ["edge", "tile", "red_cells", "none"]
    both = label_masked(nuclei(4, **known), overlaps, rules, LabelRule())
    assert both["reasons"][0] == bit("edge") + bit("ambiguous")
    legacy = label_masked(nuclei(4, **known), overlaps, rules, LabelRule(legacy=True))
    assert legacy["label"].tolist() == ["negative"] * 4
    assert not legacy["reasons"].any()


def test_no_nuclei_have_no_labels() -> None:
    rules = parse_rules(["T = CD3"], ["CD3"])
    found = label_masked(nuclei(0), {"CD3": np.zeros(0)}, rules, LabelRule())
    assert all(len(column) == 0 for column in found.values())


def golden(name: str) -> tuple[NDArray[np.uint8], Contour, NDArray[np.int64], dict[str, Any]]:
    if "REGDATA_GOLDEN" not in os.environ:
        pytest.skip("REGDATA_GOLDEN names no folder of golden files")
    path = Path(os.environ["REGDATA_GOLDEN"]) / "metrics" / name
    with np.load(path.with_suffix(".npz")) as stored:
        mask, contours = stored["mask"], stored["contour_xy"].astype(np.int32)
        offsets = np.concatenate([[0], np.cumsum(stored["contour_len"])])
    return mask, contours, offsets, json.loads(path.with_suffix(".json").read_text())["expected"]


@pytest.mark.parametrize("name", ["t01_transfer_random", "t02_transfer_exact"])
@pytest.mark.parametrize("form", ["0/1", "0/255", "boolean"])
def test_labels_of_the_published_code(name: str, form: str) -> None:
    mask, contours, offsets, expected = golden(name)
    given = {"0/1": mask, "0/255": np.where(mask > 0, 255, 0).astype(np.uint8)}.get(form, mask > 0)
    for cut_off, key in ((0.15, "labels_0_15"), (0.2, "labels_0_20")):
        if key in expected:
            positive, share = transfer(contours, offsets, given, LabelRule(cut_off, legacy=True))
            assert positive.astype(int).tolist() == expected[key]
    if "overlap_fraction" in expected:
        assert share.tolist() == expected["overlap_fraction"]


def test_at_the_cut_off_itself_only_the_published_rule_is_positive() -> None:
    mask, contours, offsets, _ = golden("t02_transfer_exact")
    legacy, share = transfer(contours, offsets, mask, LabelRule(legacy=True))
    ours, _ = transfer(contours, offsets, mask, LabelRule())
    assert np.flatnonzero(legacy != ours).tolist() == np.flatnonzero(share == 0.15).tolist() == [0]


@pytest.mark.parametrize("area", [1, 7, 20, 33, 40, 100, 120])
def test_a_share_is_compared_as_counts(area: int) -> None:
    """What a float makes of 0.15 or 0.3 decides nothing."""
    line = np.array([[0, 0], [area - 1, 0]], np.int32)
    for hundredths in (5, 15, 20, 30, 70):
        for hits in range(area + 1):
            mask = np.zeros((3, 140), bool)
            mask[0, :hits] = True
            for legacy in (False, True):
                rule = LabelRule(hundredths / 100, legacy=legacy)
                positive, _ = transfer(line, np.array([0, 2]), mask, rule)
                beyond = 100 * hits - hundredths * area
                assert positive[0] == (beyond >= 0 if legacy else beyond > 0)


def test_nuclei_off_the_tile_are_never_positive() -> None:
    off = np.array([[-20, -20], [-15, -20], [-15, -15]], np.int32)
    for legacy in (False, True):
        rule = LabelRule(0.0, 0.0, legacy=legacy)
        positive, share = transfer(off, np.array([0, 3]), np.ones((9, 9)), rule)
        assert positive.tolist() == [False]
        assert share.tolist() == [0]
