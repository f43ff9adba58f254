import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regdata.cells.positions import centroids
from regdata.errors import RegdataError
from regdata.eval import score_instances
from regdata.eval.conventions.instance_images import majority, r2
from regdata.eval.metrics.instances import assigned, dice2, overlaps
from regdata.eval.metrics.panoptic import panoptic_quality

# nucleus 1 is found, 2 is found as another class, 3 is missed; found 9 is nobody's
GT = np.array([[1, 1, 0, 2, 2, 2, 0, 3, 0, 0]])
GT_TYPE = np.array([[1, 1, 0, 2, 2, 2, 0, 2, 0, 0]])
PRED = np.array([[5, 5, 0, 6, 6, 0, 0, 0, 9, 0]])
PRED_TYPE = np.array([[1, 1, 0, 1, 1, 0, 0, 0, 2, 0]])
NEAR = {"radius_um": 0.5, "mpp": 1.0, "draws": 20}
PRESETS = ("regdata", "hovernet", "conic", "cellvitpp", "pannuke", "histoplus")
maps = arrays(np.int64, (3, 6), elements=st.integers(0, 4))


def test_the_default_by_hand() -> None:
    result = score_instances(GT, GT_TYPE, PRED, PRED_TYPE, tissues=["breast"], **NEAR)
    assert result["binary"]["bpq"]["value"] == pytest.approx((1 + 2 / 3) / 3)
    assert result["binary"]["dice"]["value"] == 2 * 4 / (6 + 5)
    assert result["dice2"] == 2 * 4 / (4 + 5)
    one, two = (result["classes"]["per_class"][c] for c in "12")
    assert (one["annotated"], one["found"]) == (1, 2)
    assert one["pq"]["value"] == 2 / 3
    assert two["pq"]["value"] == 0.0
    assert result["classes"]["mpq"]["value"] == pytest.approx(1 / 3)
    assert result["tissues"]["breast"]["mpq"] == pytest.approx(1 / 3)
    cells = result["cells"]
    assert cells["detection"]["true_positive"] == 2  # the centroid of 2 is 0.5 off: inclusive
    assert cells["classes"]["1"]["f1"] == 2 / 3
    assert cells["classes"]["2"]["f1"] == 0.0
    json.dumps(result, allow_nan=False)


def test_histoplus_by_hand() -> None:
    result = score_instances(GT, GT_TYPE, PRED, PRED_TYPE, "histoplus")
    assert result["detection"]["f1"] == 4 / 6
    assert result["classes"]["1"]["f1"] == 2 / 3
    assert result["mean_f1"] == pytest.approx(1 / 3)
    assert result["pq"]["pq"] == pytest.approx((1 + 2 / 3) / 3)
    several = score_instances(GT, GT_TYPE, PRED, PRED_TYPE, "histoplus", alternatives=[{2: {1}}])
    assert several["classes"]["1"]["f1"] == 1.0
    assert several["confusion"]["counts"][0] == [2, 0, 0]


def test_an_instance_found_without_a_class_was_not_found() -> None:
    nothing = np.zeros_like(PRED_TYPE)
    for preset in ("histoplus", "regdata"):
        result = score_instances(GT, GT_TYPE, PRED, nothing, preset, **NEAR)
        classes = result["cells"]["classes"] if preset == "regdata" else result["classes"]
        assert [row["f1"] for row in classes.values()] == [0.0, 0.0]
    assert result["binary"]["bpq"]["value"] > 0.5


def test_a_gated_instance_of_two_classes_is_one_of_each() -> None:
    gt, kind = np.array([[1, 1, 1, 1]]), np.array([[1, 1, 2, 0]])
    same = score_instances(gt, kind, gt, kind, "conic", n_types=2)["conic_dataset"]
    counts = [(row["tp"], row["fn"]) for row in same["per_class"].values()]
    assert counts == [(1, 0), (1, 0)]
    assert same["pq"] == pytest.approx(1, abs=1e-5)
    # one of the maps of PanNuke lacks what has no class; there are two nuclei in the others
    image = score_instances(gt, kind, gt, kind, "pannuke")["pannuke_per_image"][0]
    assert image["bPQ"] == pytest.approx(2 / 2.000001)
    default = score_instances(gt, kind, gt, kind, n_types=2)
    assert default["classes"]["per_class"]["1"]["annotated"] == 1
    assert default["classes"]["per_class"]["2"]["annotated"] == 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("empty", ["truth", "found", "both"])
def test_empty_maps_are_scored(preset: str, empty: str) -> None:
    none = np.zeros_like(GT)
    truth = (none, none) if empty in ("truth", "both") else (GT, GT_TYPE)
    found = (none, none) if empty in ("found", "both") else (PRED, PRED_TYPE)
    result = score_instances(*truth, *found, preset)
    json.dumps(result, allow_nan=False)
    value = {
        "regdata": lambda: result["binary"]["bpq"]["value"],
        "hovernet": lambda: result["hovernet_per_image"][0]["pq"],
        "conic": lambda: result["conic_pq_per_image"][0]["pq"],
        "cellvitpp": lambda: result["cellvitpp_per_image"][0]["mPQ_image"],
        "pannuke": lambda: result["pannuke_per_image"][0]["bPQ"],
        "histoplus": lambda: result["pq"]["pq"],
    }[preset]()
    undefined = {"truth": ("cellvitpp", "pannuke"), "found": ()}.get(
        empty, [name for name in PRESETS if name != "conic"]
    )
    assert value == (None if preset in undefined else 0.0)


def test_pannuke_weighs_tissues_alike() -> None:
    none = np.zeros_like(GT)
    truth, kinds = np.stack([GT, GT, GT]), np.stack([GT_TYPE] * 3)
    found, guess = np.stack([GT, none, GT]), np.stack([GT_TYPE, none, GT_TYPE])
    tissues = ["Breast", "Breast", "Moon"]
    run = score_instances(truth, kinds, found, guess, "pannuke", tissues)["pannuke_run"]
    assert run["Breast PQ binary"] == pytest.approx(0.5, abs=1e-5)
    assert run["Moon PQ"] == pytest.approx(1, abs=1e-5)
    assert run["Average bPQ"] == pytest.approx(0.75, abs=1e-5)
    assert run["Colon PQ"] is None
    alone = score_instances(truth, kinds, found, guess, "pannuke")["pannuke_run"]
    assert alone["Average bPQ"] == pytest.approx(2 / 3, abs=1e-5)


def test_slides_are_drawn_whole() -> None:
    none = np.zeros_like(GT)
    four = [np.stack(x) for x in ([GT] * 4, [GT_TYPE] * 4, [GT, none] * 2, [GT_TYPE, none] * 2)]
    bpq = score_instances(*four, slides=["a", "a", "b", "b"])["binary"]["bpq"]
    assert bpq["low"] == bpq["high"] == 0.5
    bpq = score_instances(*four)["binary"]["bpq"]
    assert bpq["low"] < 0.5 < bpq["high"]


def test_r2_of_counts() -> None:
    truth, found = np.array([[1, 2, 0], [3, 2, 0]]), np.array([[1, 2, 0], [2, 2, 1]])
    assert r2(truth, found) == [1 - 1 / 2, 1.0, 0.0]
    assert r2(truth[:1], found[:1]) == [None] * 3


@settings(deadline=None)
@given(maps, maps)
def test_dice2_and_low_iou_against_twins_by_masks(truth: np.ndarray, found: np.ndarray) -> None:
    pairs = overlaps(truth, found)
    above = below = 0
    for i in range(1, 5):
        for j in range(1, 5):
            a, b = truth == i, found == j
            if (a & b).any():
                above, below = above + 2 * (a & b).sum(), below + a.sum() + b.sum()
    expected = above / below if below else (0.0 if truth.any() or found.any() else None)
    assert dice2(pairs) == expected
    low = panoptic_quality(pairs, 0.3)
    chosen = assigned(pairs)
    assert low.true_positive == int((pairs.iou[chosen] > 0.3).sum())
    assert low.true_positive >= panoptic_quality(pairs).true_positive
    assert panoptic_quality(pairs, 0.99).true_positive == int((pairs.iou > 0.99).sum())


@settings(deadline=None)
@given(maps, maps)
def test_classes_and_centroids_against_loops(inst: np.ndarray, kind: np.ndarray) -> None:
    ids = np.unique(inst[inst > 0])
    classes = []
    for i in ids:
        votes = [int(((inst == i) & (kind == c)).sum()) for c in (1, 2, 3)]
        classes.append(int(np.argmax(votes)) if any(votes) else -1)
    assert majority(inst, kind, ids, 3).tolist() == classes  # a class above 3 is none
    xy = [[np.nonzero(inst == i)[axis].mean() + 0.5 for axis in (1, 0)] for i in ids]
    np.testing.assert_allclose(centroids(inst, ids), np.reshape(xy, (-1, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "ocelot"}, "ocelot scores points"),
        ({"pred_inst": PRED.T}, "one size"),
        ({"gt_inst": GT * 1.0}, "whole numbers"),
        ({"tissues": ["a", "b"]}, "tissues of 1 image"),
        ({"preset": "conic", "alternatives": [{}]}, "gated=False"),
        ({"gt_inst": np.zeros((0, 2, 2), int)}, "one size"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict, message: str) -> None:
    whole = {"gt_inst": GT, "gt_type": GT_TYPE, "pred_inst": PRED, "pred_type": PRED_TYPE}
    with pytest.raises(RegdataError, match=message):
        score_instances(**{**whole, **change})
