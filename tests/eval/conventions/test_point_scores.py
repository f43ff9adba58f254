import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.eval import score_points
from regdata.eval.conventions.presets import POINTS
from regdata.eval.metrics.counts import Points, confusion

rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 8), st.integers(1, 2)),
    max_size=6,
)
QUICK = {"draws": 0, "chance_draws": 0}


def table(rows, columns=4):
    return np.array(rows, float).reshape(-1, columns)


def scored(rows):
    """Predictions with a score that falls row by row."""
    a = table(rows)
    return np.column_stack([a, np.linspace(1, 0.5, len(a))])


GT = table([(0, 10, 10, 1), (0, 40, 10, 1), (1, 10, 10, 2), (1, 80, 80, 1)])
PRED = scored([(0, 12, 10, 1), (0, 44, 10, 2), (1, 10, 13, 2), (1, 40, 40, 2), (0, 10, 14, 1)])


def test_the_default_by_hand() -> None:
    result = score_points(GT, PRED)
    one, two = result["classes"]["1"], result["classes"]["2"]
    assert (one["annotated"], one["predicted"], one["true_positive"]) == (3, 2, 1)
    assert (two["annotated"], two["predicted"], two["true_positive"]) == (1, 3, 1)
    assert one["f1"] == 2 / 5
    assert result["mean_f1"] == pytest.approx((2 / 5 + 2 / 4) / 2)
    assert (result["detection"]["true_positive"], result["detection"]["f1"]) == (3, 6 / 9)
    assert result["classification"]["accuracy"] == pytest.approx(2 / 3)
    assert result["conventions"]["radius_in_coordinates"] == 15
    json.dumps(result, allow_nan=False)


@settings(deadline=None, max_examples=60)
@given(rows, rows)
def test_the_default_is_that_of_single_images(truth, guess) -> None:
    """One call for all images, against `regdata evaluate`'s counting image by image."""
    a, b = table(truth), scored(guess)
    ours = score_points(a, b, radius=3, classes=(1, 2), n_images=2, **QUICK)
    total = np.zeros((3, 3), int)
    for image in (0, 1):
        parts = [x[x[:, 0] == image] for x in (a, b)]
        parts = [x[np.lexsort(x.T[[3, 2, 1]])] for x in parts]
        points = [Points(x[:, 1:3], x[:, 3].astype(np.int64) - 1) for x in parts]
        total += confusion(*points, 2, 3)
    assert ours["confusion"]["counts"] == total.tolist()


@settings(deadline=None, max_examples=60)
@given(rows, rows, st.randoms())
def test_the_default_does_not_depend_on_the_order_of_rows(truth, guess, random) -> None:
    """On a grid most choices are ties, and points coincide."""
    a, b = table(truth), scored(guess)
    first = score_points(a, b, radius=3, **QUICK)
    shuffled = [random.sample(range(len(x)), len(x)) for x in (a, b)]
    assert score_points(a[shuffled[0]], b[shuffled[1]], radius=3, **QUICK) == first


@pytest.mark.parametrize("preset", [name for name in POINTS if name != "legacy-overlay"])
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_empty_sides_are_scored(preset: str, n: int, m: int) -> None:
    a = table([(0, 20 * i, 50, 1) for i in range(n)])
    b = scored([(0, 20 * i, 50, 1) for i in range(m)])
    result = score_points(a, b, preset, classes=(1,))
    json.dumps(result, allow_nan=False)
    f1 = {
        "regdata": lambda: result["classes"]["1"]["f1"] if "1" in result["classes"] else None,
        "ocelot": lambda: result["per_class"]["1"]["f1"],
        "hovernet": lambda: result["f1_type"]["1"],
        "cellvitpp": lambda: result["types"]["1"]["f1"],
        "midog": lambda: result["1"]["f1"],
    }[preset]()
    assert f1 == (None if n == m == 0 and preset != "ocelot" else 0.0)
    if POINTS[preset].empty == "phantom":  # two phantoms, or one that pairs with the point at 0
        detection = score_points(a, b - [0, 0, 50, 0, 0], preset, n_images=1)
        detection = detection.get("cellvitpp", detection)["detection"]
        assert detection["tp"] == int(n == 0)


def test_an_absent_class_may_count_as_zero() -> None:
    how = {"classes": (1, 2, 3), **QUICK}
    assert score_points(GT, PRED, **how)["mean_f1"] == pytest.approx((2 / 5 + 2 / 4) / 2)
    zero = score_points(GT, PRED, empty="zero", **how)
    assert zero["mean_f1"] == pytest.approx((2 / 5 + 2 / 4) / 3)
    assert zero["classes"]["3"]["f1"] == 0.0


def test_wrong_classes_weigh_twice_in_hovernet() -> None:
    gt, pred = table([(0, 9, 9, 1), (0, 90, 9, 1)]), scored([(0, 9, 9, 1), (0, 90, 9, 2)])
    assert score_points(gt, pred, "hovernet")["f1_type"]["1"] == 2 / (2 + 2)
    assert score_points(gt, pred, "hovernet", wrong=1)["f1_type"]["1"] == 2 / (2 + 1)
    assert score_points(gt, pred)["classes"]["1"]["f1"] == 2 / 3


def test_a_nucleus_nobody_could_name_is_neither_right_nor_wrong() -> None:
    gt, pred = table([(0, 9, 9, -1), (0, 90, 9, 1)]), scored([(0, 9, 9, 1), (0, 90, 9, 1)])
    assert score_points(gt, pred)["classes"]["1"]["f1"] == 1.0
    for preset in ("ocelot", "midog", "hovernet"):  # elsewhere it is no annotation at all
        json.dumps(score_points(gt, pred, preset), allow_nan=False)
    assert score_points(gt, pred, "midog")["1"]["tp"] == 1


def test_several_classes_may_be_right() -> None:
    gt, pred = table([(0, 9, 9, 1), (0, 90, 9, 1)]), scored([(0, 9, 9, 2), (0, 90, 9, 3)])
    result = score_points(gt, pred, alternatives=[{2}, {2}])
    assert result["classes"]["2"]["f1"] == 1.0
    assert result["classes"]["1"]["f1"] == 0.0  # 3 was right neither as 1 nor as 2
    assert result["classes"]["3"]["f1"] == 0.0
    with pytest.raises(RegdataError, match="class_aware=False"):
        score_points(gt, pred, "ocelot", alternatives=[{2}, {2}])


def test_probabilities_of_paired_points_are_scored() -> None:
    given = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]])
    result = score_points(GT, PRED, classes=(1, 2), probabilities=given)["classification"]
    # pairs: 1 as 0.9 of class 1, 1 as 0.4, 2 as 0.2; the other two predictions have no partner
    assert result["confusion"] == [[1, 1], [0, 1]]
    assert result["auroc"]["per_class"] == [1.0, 1.0]
    assert result["calibration"]["ece"] == pytest.approx((0.1 + 0.6 + 0.2) / 3)
    with pytest.raises(RegdataError, match="name their columns"):
        score_points(GT, PRED, probabilities=given)


def overlay(rng, crops_per_slide):
    """15 slides of 482 nuclei, 24 % lymphocytes, in crops of 256 px; predictions at random."""
    n = 7224
    kind = (np.arange(n) % 100 < 24).astype(float)
    image = np.arange(n) % (15 * crops_per_slide)
    gt = np.column_stack([image, rng.uniform(0, 256, (n, 2)), kind])
    pred = np.column_stack([image, rng.uniform(0, 256, (n, 2)), kind, rng.random(n)])
    return gt, pred, [f"slide {i % 15}" for i in range(15 * crops_per_slide)]


def test_overlaid_crops_score_far_above_what_was_found() -> None:
    """Random points reach the published chance level, 0.542 and 0.761, and are told so."""
    gt, pred, slides = overlay(np.random.default_rng(0), 17)
    how = {"slides": slides, "size": (256, 256), "chance_draws": 3}
    flawed = score_points(gt, pred, "legacy-overlay", **how)
    assert flawed["chance"]["per_class"]["1"] == pytest.approx(0.542, abs=0.02)
    assert flawed["chance"]["per_class"]["0"] == pytest.approx(0.761, abs=0.02)
    assert flawed["per_class"]["1"]["f1"] == pytest.approx(0.542, abs=0.03)
    assert "overlaid" in flawed["warning"]
    right = score_points(gt, pred, "ocelot", **how)
    assert right["per_class"]["1"]["f1"] < 0.1
    assert "warning" not in right
    with pytest.raises(RegdataError, match="slides="):
        score_points(gt, pred, "legacy-overlay")


def test_chance_of_few_points_is_the_share_of_the_area() -> None:
    """One point each in 100 x 100: they pair where they are within 5, ignoring the edge."""
    gt = table([(i, 50, 50, 1) for i in range(2000)])
    pred = scored([(i, 0, 0, 1) for i in range(2000)])
    level = score_points(gt, pred, radius=5, size=(100, 100), chance_draws=10, draws=0)["chance"]
    assert level["detection"] == pytest.approx(np.pi * 25 / 1e4, rel=0.2)
    assert level["mean_f1"] == level["per_class"]["1"] == level["detection"]
    assert score_points(gt, pred, chance_draws=0, draws=0)["chance"] is None


def test_intervals_are_of_slides_where_they_are_known() -> None:
    both = [(0, 9, 9, 1), (1, 9, 9, 1), (2, 9, 9, 1), (3, 9, 9, 1)]
    pred = scored(both[:1] + both[2:3])  # every slide has one hit, one miss
    by_image = score_points(table(both), pred)["mean_f1_interval"]
    low, high = score_points(table(both), pred, slides=["a", "a", "b", "b"])["mean_f1_interval"]
    assert low == high == pytest.approx(2 / 3)
    assert by_image[0] < by_image[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "conic"}, "conic scores instances"),
        ({"preset": "nonsense"}, "one of regdata, ocelot"),
        ({"radios": 3}, "unknown convention radios"),
        ({"slides": ["a"]}, "no slide for image"),
        ({"alternatives": [{1}]}, "alternatives of 4 points, got 1"),
        ({"wrong": 2}, "plain rates; it takes no wrong"),
        ({"gt": GT[:, :3]}, "image, x, y, class, got shape"),
        ({"pred": PRED * [1, 1, 1, -1, 1]}, "classes from 0 on"),
        ({"gt": GT * np.nan}, "finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, message) -> None:
    with pytest.raises(RegdataError, match=message):
        score_points(**{"gt": GT, "pred": PRED, **change})


def test_import_is_light() -> None:
    code = (
        "import sys; from regdata.eval import score_points; "
        "print([m for m in ('torch', 'cv2', 'pandas', 'anndata') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
