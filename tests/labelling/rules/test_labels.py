from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cells.table import BLURRED, EDGE, FOLD, OUTSIDE_IF, PEN
from regdata.labelling.measuring.footprint import Footprints
from regdata.labelling.measuring.intensity import spread
from regdata.labelling.measuring.measured import Measured
from regdata.labelling.measuring.pixels import Block, PixelValues
from regdata.labelling.rules.labels import (
    MOSTLY,
    Marker,
    Nuclei,
    label_nuclei,
    marker_state,
    place_reasons,
)
from regdata.labelling.rules.overlap_rule import AMBIGUOUS, CERTAIN, OVERLAP, LabelRule
from regdata.labelling.rules.probability import UNSURE
from regdata.labelling.rules.reasons import bit
from regdata.labelling.rules.rules import parse_rules
from regdata.labelling.thresholds.surface import Surface
from regdata.labelling.thresholds.threshold import Threshold

PIXELS = 200
LIMIT = 100.0
OPEN = LabelRule(certain=0.0)
"""Labels by overlap alone: no probability is too small."""


def lit(share: float, bright: float = 1000.0, dark: float = 1.0) -> NDArray[np.float32]:
    """Pixels of a nucleus of which a share is bright."""
    values = np.full(PIXELS, dark, np.float32)
    values[: round(share * PIXELS)] = bright
    return values


def nuclei_of(
    pixels: Mapping[str, Sequence[NDArray[np.float32]]], **columns: NDArray[np.float32]
) -> Nuclei:
    """Nuclei by their pixels in each marker; DAPI is as it should be."""
    count = len(next(iter(pixels.values())))
    where = np.arange(count * PIXELS, dtype=np.int32)
    own = Footprints(where, np.arange(count + 1) * PIXELS)
    found: dict[str, Any] = {
        "mean_DAPI": np.full(count, 500, np.float32),
        "ring_mean_DAPI": np.full(count, 100, np.float32),
    }
    kept, held = {}, {}
    for name, values in pixels.items():
        plane = np.stack([*values]).astype(np.float32)
        found_in = spread(plane, own)
        curve, mean = found_in.curve, found_in.mean
        kept |= {f"nucleus_{name}": curve, f"ring_{name}": curve.copy()}
        block = Block.pack(np.arange(count), own.area, found_in.values)
        held |= {f"{part}_{name}": PixelValues((block,)) for part in ("nucleus", "ring")}
        found |= {f"mean_{name}": mean, f"ring_mean_{name}": mean.copy()}
    found |= {name: np.asarray(column, np.float32) for name, column in columns.items()}
    # far apart, so that nobody is judged by its neighbours
    xy = np.stack([np.arange(count) * 1000.0, np.zeros(count)], 1)
    flags, error = np.zeros(count, np.uint8), np.full(count, 0.2)
    return Nuclei(xy, np.full(count, 3.0), flags, error, Measured(found, kept, held))


def marker(limit: float = LIMIT, compartment: str = "nucleus", **counted: Any) -> Marker:
    return Marker(
        Threshold(
            method="fixed",
            surface=Surface.constant(limit),
            overall=limit,
            contrast=9,
            bimodality=0.9,
            separation=3,
        ),
        compartment,
        **counted,
    )


def labels(
    nuclei: Nuclei,
    rule: LabelRule = OPEN,
    classes: Sequence[str] = ("CD3 = CD3",),
    **markers: Marker,
) -> dict[str, Any]:
    markers = markers or {"CD3": marker()}
    return label_nuclei(nuclei, markers, parse_rules(classes, list(markers)), rule, "DAPI")


@pytest.mark.parametrize(
    ("share", "label", "legacy"),
    [
        (0.0, "negative", "negative"),
        (AMBIGUOUS, "negative", "negative"),
        (AMBIGUOUS + 0.005, "unknown", "negative"),
        (OVERLAP - 0.005, "unknown", "negative"),
        (OVERLAP, "unknown", "CD3"),
        (OVERLAP + 0.005, "CD3", "CD3"),
        (1.0, "CD3", "CD3"),
    ],
)
def test_the_overlap_decides(share: float, label: str, legacy: str) -> None:
    nuclei = nuclei_of({"CD3": [lit(share)]})
    found = labels(nuclei)
    assert found["label"].tolist() == [label]
    assert found["reason"].tolist() == ["ambiguous" if label == "unknown" else "none"]
    assert np.isnan(found["label_probability"][0]) == (label == "unknown")
    assert found["overlap_CD3"].tolist() == [np.float32(share)]
    counted = replace(marker(), overlap=np.array([share], np.float32))
    published = labels(nuclei, LabelRule(legacy=True), CD3=counted)
    assert published["label"].tolist() == [legacy]
    assert published["reason"].tolist() == ["none"]


def test_what_is_kept_of_each_marker() -> None:
    found = labels(nuclei_of({"CD3": [lit(0.3), lit(0.0)]}))
    assert found["overlap_CD3"].tolist() == [np.float32(0.3), 0]
    assert found["threshold_CD3"].tolist() == [LIMIT, LIMIT]
    high, low = found["probability_CD3"].tolist()
    assert high > 0.5 > low
    np.testing.assert_allclose(found["label_probability"], [high, 1 - low], rtol=1e-6)


def test_an_intensity_between_leaves_it_unknown() -> None:
    shining = [lit(1.0, LIMIT * x) for x in (0.01, 1.01, 50)]
    nuclei = nuclei_of({"CD3": shining})
    nuclei = replace(nuclei, error_um=np.full(3, 3.0))
    chance = labels(nuclei)["probability_CD3"]
    rule = replace(OPEN, certain=float(chance[1]) + 0.01)
    assert labels(nuclei, rule)["label"].tolist() == ["negative", "unknown", "CD3"]
    assert labels(nuclei)["label"].tolist() == ["negative", "CD3", "CD3"]


def test_unlikely_labels_are_not_kept() -> None:
    rng = np.random.default_rng(0)
    nuclei = nuclei_of({"CD3": [lit(1.0, LIMIT * x) for x in rng.lognormal(-0.5, 1, 200)]})
    found = labels(nuclei, LabelRule())
    known = found["label"] != "unknown"
    assert 0 < known.sum() < 200
    assert (found["label_probability"][known] >= np.float32(CERTAIN)).all()
    assert np.isnan(found["label_probability"][~known]).all()


def test_local_thresholds_hold_where_they_are() -> None:
    surface = Surface(np.array([[100, 2000]], np.float32), 2000.0, np.ones((1, 2), np.float32))
    nuclei = nuclei_of({"CD3": [lit(1.0, 500)] * 4})  # at 0, 1000, 2000 and 3000 µm
    found = labels(
        nuclei,
        CD3=Marker(
            Threshold(
                method="local",
                surface=surface,
                overall=500,
                contrast=9,
                bimodality=0.9,
                separation=3,
            )
        ),
    )
    assert found["threshold_CD3"].tolist() == [100, 100, 1050, 2000]
    assert found["label"].tolist() == ["CD3", "CD3", "negative", "negative"]


PLACES = {
    "edge": {"flags": EDGE},
    "outside_if": {"flags": OUTSIDE_IF},
    "tile": {"flags": PEN},
    "registration": {"error_um": 3.1},
}


@pytest.mark.parametrize("reason", PLACES)
def test_places_that_cannot_be_labelled(reason: str) -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0), lit(1.0), lit(0.0)]})
    name, value = next(iter(PLACES[reason].items()))
    given = getattr(nuclei, name).copy()
    given[1:] = value
    found = labels(replace(nuclei, **{name: given}))
    assert found["label"].tolist() == ["CD3", "unknown", "unknown"]
    assert found["reason"].tolist() == ["none", reason, reason]
    assert found["reasons"].tolist() == [0, bit(reason), bit(reason)]


@pytest.mark.parametrize("flag", [BLURRED, FOLD, PEN])
def test_tiles_spoiled_on_the_he(flag: int) -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0)] * 2})
    nuclei = replace(
        nuclei, flags=np.full(2, flag, np.uint8), error_um=np.array([2.9, 0.05], np.float32)
    )
    # what looks like a fold is none where the nuclear stain agrees with the H&E
    expected = ["tile", "none" if flag == FOLD else "tile"]
    assert labels(nuclei)["reason"].tolist() == expected


def test_pen_over_most_of_a_section_is_its_stain() -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0)] * 2000})
    flags = np.full(2000, PEN, np.uint8)
    assert set(labels(replace(nuclei, flags=flags))["reason"]) == {"none"}
    flags[600:] = 0
    found = labels(replace(nuclei, flags=flags))["reason"]
    assert np.array_equal(found == "tile", flags == PEN)


def test_an_unknown_registration_error() -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0), lit(0.0)]})
    nowhere = replace(nuclei, error_um=np.full(2, np.nan))
    assert labels(nowhere)["reason"].tolist() == ["registration"] * 2
    # a mask that was drawn on the H&E needs no registration
    assert place_reasons(nowhere, None).tolist() == [0, 0]


def test_a_nucleus_that_the_section_lost() -> None:
    nuclei = nuclei_of(
        {"CD3": [lit(0.0)] * 8},
        mean_DAPI=np.array([500, 510, 490, 520, 480, 500, 505, 20]),
        ring_mean_DAPI=np.full(8, 10),
    )
    found = labels(nuclei)
    assert found["reason"].tolist() == [*["none"] * 7, "missing"]


def test_colours_and_light_that_say_nothing() -> None:
    half = np.array([MOSTLY - 0.01, MOSTLY + 0.01])
    stained = {"CD3": [lit(1.0), lit(1.0)]}
    assert labels(nuclei_of(stained, red_cells=half))["reason"].tolist() == ["none", "red_cells"]
    found = labels(nuclei_of(stained, saturated_CD3=half))
    assert found["reason"].tolist() == ["none", "saturated"]


def test_light_of_a_neighbour_makes_no_positive() -> None:
    lent = np.array([0.0, 0.99, 0.99])
    nuclei = nuclei_of({"CD3": [lit(1.0, 300), lit(1.0, 300), lit(0.0)]}, lent_CD3=lent)
    found = labels(nuclei)
    assert found["label"].tolist() == ["CD3", "unknown", "negative"]
    assert found["reason"].tolist() == ["none", "spill_over", "none"]


def test_light_of_a_neighbour_is_no_reason_where_the_share_is_between() -> None:
    pixels = [lit(0.1, 9000)]  # a mean above the threshold from a tenth of the pixels
    found = labels(nuclei_of({"CD3": pixels}, lent_CD3=np.array([0.99])), LabelRule())
    assert found["probability_CD3"][0] > 0.5
    assert found["reasons"].tolist() == [bit("ambiguous")]


def test_a_doubtful_intensity_is_not_blamed_on_neighbours() -> None:
    pixels = [lit(0.2, 1.01 * LIMIT)]  # stained over its cut-off, yet too faint
    for lent in (0.0, 0.9):
        found = labels(nuclei_of({"CD3": pixels}, lent_CD3=np.array([lent])), LabelRule())
        assert found["probability_CD3"][0] < 0.5
        assert found["reason"].tolist() == ["ambiguous"]


def test_the_ring_decides_where_it_is_asked_for() -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0), lit(0.0)]})
    measured = nuclei.measured
    (block,) = measured.pixels["ring_CD3"].blocks
    swapped = {"ring_CD3": PixelValues((replace(block, rows=block.rows[::-1]),))}
    means = {"ring_mean_CD3": measured.columns["mean_CD3"][::-1]}
    nuclei = replace(
        nuclei,
        measured=replace(
            measured, columns=measured.columns | means, pixels=measured.pixels | swapped
        ),
    )
    assert labels(nuclei)["label"].tolist() == ["CD3", "negative"]
    found = labels(nuclei, CD3=marker(compartment="ring"))
    assert found["label"].tolist() == ["negative", "CD3"]


def test_without_a_ring_nothing_is_known() -> None:
    nuclei = nuclei_of({"CD3": [lit(1.0), lit(1.0), lit(0.0)], "CD20": [lit(1.0)] * 3})
    lit_and_dark = np.concatenate([lit(1.0), lit(0.0)])
    block = Block.pack(np.arange(3), np.array([PIXELS, 0, PIXELS]), lit_and_dark)
    nuclei.measured.pixels["ring_CD3"] = PixelValues((block,))
    nuclei.measured.columns["ring_mean_CD3"][1] = np.nan
    ring = {"CD3": marker(compartment="ring")}
    found = labels(nuclei, LabelRule(), **ring)
    assert found["label"].tolist() == ["CD3", "unknown", "negative"]
    assert found["reason"].tolist() == ["none", "enclosed", "none"]
    assert found["probability_CD3"][1] == 0.5
    # another marker, read in the nucleus, may still make the class
    either = labels(nuclei, LabelRule(), ["x = CD3 | CD20"], CD20=marker(), **ring)
    assert either["label"].tolist() == ["x", "x", "x"]
    assert np.isfinite(either["label_probability"]).all()
    neither = labels(nuclei, LabelRule(), ["x = CD3 & ~CD20"], CD20=marker(), **ring)
    assert neither["label"].tolist() == ["negative"] * 3


TWO = {"CD3": marker(), "CD20": marker()}
BETWEEN = (AMBIGUOUS + OVERLAP) / 2


def test_classes_from_markers_of_which_some_are_unknown() -> None:
    shares = [(1, 0), (1, BETWEEN), (0, BETWEEN), (BETWEEN, 1), (0, 0), (1, 1)]
    nuclei = nuclei_of(
        {"CD3": [lit(a) for a, _ in shares], "CD20": [lit(b) for _, b in shares]},
    )
    any_ = labels(nuclei, OPEN, ["lymphocyte = CD3 | CD20"], **TWO)
    assert any_["label"].tolist() == [
        *["lymphocyte"] * 2, "unknown", "lymphocyte", "negative", "lymphocyte",
    ]  # fmt: skip
    only = labels(nuclei, OPEN, ["T = CD3 & ~CD20"], **TWO)
    assert only["label"].tolist() == ["T", "unknown", *["negative"] * 4]
    assert only["reason"].tolist() == ["none", "ambiguous", *["none"] * 4]


def test_positive_for_two_classes_is_a_conflict() -> None:
    nuclei = nuclei_of({"CD3": [lit(1), lit(1), lit(0)], "CD20": [lit(1), lit(0), lit(1)]})
    found = labels(nuclei, OPEN, ["T = CD3", "B = CD20"], **TWO)
    assert found["label"].tolist() == ["unknown", "T", "B"]
    assert found["reason"].tolist() == ["conflict", "none", "none"]
    assert found["reasons"][0] == bit("conflict")


def test_the_published_rule_leaves_nothing_unknown_but_what_lies_off_the_slide() -> None:
    rng = np.random.default_rng(0)
    count = 300
    nuclei = nuclei_of(
        {name: [lit(s) for s in rng.random(count) ** 2] for name in ("CD3", "CD20")},
        red_cells=rng.random(count),
        saturated_CD3=rng.random(count),
        lent_CD3=rng.random(count),
        mean_DAPI=500 * rng.random(count),
    )
    flags = rng.choice([0, 0, EDGE, OUTSIDE_IF, PEN], count).astype(np.uint8)
    nuclei = replace(nuclei, flags=flags, error_um=rng.choice([0.1, 5.0, np.nan], count))
    found = labels(nuclei, LabelRule(legacy=True), ["T = CD3", "B = CD20"], **TWO)
    assert np.array_equal(found["label"] == "unknown", flags == OUTSIDE_IF)
    assert set(found["label"]) == {"T", "B", "negative", "unknown"}
    assert np.isfinite(found["label_probability"][flags != OUTSIDE_IF]).all()


def test_several_reasons_are_all_kept_and_the_first_told() -> None:
    nuclei = nuclei_of({"CD3": [lit(BETWEEN)]}, saturated_CD3=np.ones(1))
    nuclei = replace(nuclei, error_um=np.array([9.0]))
    found = labels(nuclei)
    assert found["reason"].tolist() == ["registration"]
    assert found["reasons"][0] == bit("registration") + bit("saturated") + bit("ambiguous")


def test_a_marker_that_decides_nothing_gives_no_reason() -> None:
    nuclei = nuclei_of({"CD3": [lit(0.0)], "CD20": [lit(BETWEEN)]})
    found = labels(nuclei, OPEN, ["x = CD3 & CD20"], **TWO)
    assert found["label"].tolist() == ["negative"]
    assert found["reasons"].tolist() == [0]


def test_a_larger_overlap_is_needed_for_fewer_positives() -> None:
    rng = np.random.default_rng(1)
    nuclei = nuclei_of({"CD3": [lit(s) for s in rng.random(200)]})
    states = [
        marker_state(nuclei, "CD3", marker(), replace(OPEN, overlap=o, ambiguous=o)).state
        for o in (0.1, 0.3, 0.5, 0.9)
    ]
    assert (np.diff(np.array(states), axis=0) <= 0).all()
    assert len({state.sum() for state in map(np.asarray, states)}) == 4
    assert (np.array(states) >= 0).all()  # without a band nothing is in between


def test_no_nuclei() -> None:
    one = nuclei_of({"CD3": [lit(1.0)]})
    columns = {name: column[:0] for name, column in one.measured.columns.items()}
    measured = Measured(columns, pixels=dict.fromkeys(one.measured.pixels, PixelValues(())))
    empty = Nuclei(one.xy_um[:0], one.radius_um[:0], one.flags[:0], one.error_um[:0], measured)
    for rule in (LabelRule(), LabelRule(legacy=True)):
        assert len(labels(empty, rule)["label"]) == 0


def test_the_probability_of_a_label_is_never_certainty() -> None:
    found = labels(nuclei_of({"CD3": [lit(1.0, 1e6), lit(0.0, dark=0.0)]}))
    assert (found["label_probability"] <= 1 - UNSURE + 1e-6).all()
    assert (found["label_probability"] > 0.9).all()


def test_ink_over_most_of_a_section_is_its_stain() -> None:
    dark = {"CD3": [lit(0.0)] * 30}
    some, most = nuclei_of(dark), nuclei_of(dark)
    some.flags[:3] = PEN
    most.flags[:20] = PEN
    assert (place_reasons(some, None) == bit("tile")).tolist() == [True] * 3 + [False] * 27
    assert not place_reasons(most, None).any()


def test_a_threshold_of_pixels_moves_the_rule_and_not_what_is_likely() -> None:
    nuclei = nuclei_of({"CD3": [np.full(PIXELS, 400, np.float32), np.full(PIXELS, 5, np.float32)]})
    usual = marker(100.0)
    strict = Threshold(
        method="otsu",
        surface=Surface.constant(1000.0),
        overall=1000.0,
        contrast=9,
        bimodality=0.9,
        separation=3,
        reference=usual.threshold.surface,
    )
    found = labels(nuclei, LabelRule(), CD3=Marker(strict))
    expected = labels(nuclei, LabelRule(), CD3=usual)
    assert found["probability_CD3"].tolist() == expected["probability_CD3"].tolist()
    assert expected["label"].tolist() == ["CD3", "negative"]
    # below the user's threshold, and yet likely stained: that cannot be told
    assert found["label"].tolist() == ["unknown", "negative"]
