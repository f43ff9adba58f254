"""Labels from overlaps with masks: the rule itself, and what overrides it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cells.table import BLURRED, EDGE
from regdata.labelling.measuring.measured import Measured
from regdata.labelling.rules.labels import LabelRule, Nuclei
from regdata.labelling.rules.mask_labels import label_masked, state_of
from regdata.labelling.rules.reasons import bit
from regdata.labelling.rules.rules import parse_rules

SHARES = [(hits, area) for area in range(1, 81) for hits in range(area + 1)]


def nuclei(count: int, **known: NDArray[np.generic]) -> Nuclei:
    flags = np.asarray(known.get("flags", np.zeros(count)), np.uint8)
    red = np.asarray(known.get("red_cells", np.zeros(count)), np.float32)
    nothing = np.full(count, np.nan)
    measured = Measured({"red_cells": red})
    return Nuclei(np.zeros((count, 2)), np.ones(count), flags, nothing, measured)


def test_the_rule_is_that_of_whole_pixels() -> None:
    share = np.array([np.float32(hits / area) for hits, area in SHARES])
    found = state_of(share, LabelRule())
    legacy = state_of(share, LabelRule(legacy=True))
    for (hits, area), three, two in zip(SHARES, found, legacy, strict=True):
        above = 100 * hits > 15 * area
        assert three == (1 if above else -1 if 100 * hits > 5 * area else 0)
        assert two == (100 * hits >= 15 * area)


@pytest.mark.parametrize("cut", [0.1, 0.2, 0.3, 0.7])
def test_other_cut_offs_are_exact_too(cut: float) -> None:
    share = np.array([np.float32(hits / area) for hits, area in SHARES])
    strict = state_of(share, LabelRule(overlap=cut, ambiguous=cut))
    expected = [round(10 * cut) * area < 10 * hits for hits, area in SHARES]
    assert strict.tolist() == expected


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
