import json

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval.metrics.counts import ImageCounts
from regdata.eval.metrics.detection import Conventions, score
from regdata.eval.pages.scores import score_table

A = [[4, 1, 1], [0, 2, 2], [3, 0, 0]]
B = [[1, 0, 0], [0, 1, 1], [0, 1, 0]]
CLASSES = ("lymphocyte", "other")


def images(*matrices, slides=None):
    slides = slides or [str(i) for i in range(len(matrices))]
    return [
        ImageCounts(str(i), slide, np.array(matrix))
        for i, (matrix, slide) in enumerate(zip(matrices, slides, strict=True))
    ]


def test_rates_by_hand():
    # Sum: [[5, 1, 1], [0, 3, 3], [3, 1, 0]]
    scores = score(images(A, B), CLASSES)
    first, second = scores.per_class
    assert (first.annotated, first.predicted, first.true_positive) == (7, 8, 5)
    assert (first.precision, first.recall, first.f1) == (5 / 8, 5 / 7, 10 / 15)
    assert (second.annotated, second.predicted, second.true_positive) == (6, 5, 3)
    assert second.f1 == 6 / 11
    assert scores.mean_f1 == pytest.approx((10 / 15 + 6 / 11) / 2)
    # Detection ignores the class: 9 of 13 annotated found, 13 predicted.
    assert (scores.detection.precision, scores.detection.recall) == (9 / 13, 9 / 13)


@pytest.mark.parametrize(
    ("matrix", "f1", "mean"),
    [
        ([[2, 0, 0], [0, 0, 0], [0, 0, 0]], [1.0, None], 1.0),  # absent: not in the mean
        ([[2, 0, 0], [0, 0, 0], [0, 3, 0]], [1.0, 0.0], 0.5),  # predicted only: zero
        ([[2, 0, 0], [0, 0, 0], [0, 1, 0]], [1.0, 0.0], 0.5),
        ([[2, 0, 0], [0, 0, 3], [0, 0, 0]], [1.0, 0.0], 0.5),  # annotated only: zero
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [None, None], None),
    ],
)
def test_empty_cases(matrix, f1, mean):
    scores = score(images(matrix, matrix), CLASSES)
    assert [rates.f1 for rates in scores.per_class] == f1
    assert scores.mean_f1 == mean


def test_rates_without_denominator_are_none():
    rates = score(images([[0, 4], [0, 0]]), ["cell"]).per_class[0]
    assert (rates.precision, rates.recall, rates.f1) == (None, 0.0, 0.0)


def twin_intervals(matrices, draws, seed):
    """Bootstrap image by image, with the same random numbers."""
    rng = np.random.default_rng(seed)
    n = len(matrices)
    means = []
    for times in rng.multinomial(n, np.full(n, 1 / n), size=draws):
        total = sum(t * np.array(m) for t, m in zip(times, matrices, strict=True))
        f1 = []
        for c in range(len(total) - 1):
            cells = total[c].sum() + total[:, c].sum()
            if cells:
                f1.append(2 * total[c, c] / cells)
        means.append(np.mean(f1))
    return np.percentile(means, [2.5, 97.5])


def test_interval_agrees_with_a_loop():
    scores = score(images(A, B, A, B), CLASSES, Conventions(draws=200, seed=3))
    np.testing.assert_allclose(scores.mean_f1_interval, twin_intervals([A, B, A, B], 200, 3))
    low, high = scores.mean_f1_interval
    assert low < scores.mean_f1 < high


def test_interval_is_reproducible_and_follows_the_seed():
    one, two, other = (
        score(images(A, B, A), CLASSES, Conventions(draws=9, seed=s)).to_dict() for s in (1, 1, 2)
    )
    assert one == two
    assert one["detection"]["f1_interval"] != other["detection"]["f1_interval"]


def test_slides_are_drawn_whole():
    by_slide = Conventions(resample="slide")
    paired = images(A, B, A, B, slides=["s", "s", "t", "t"])
    low, high = score(paired, CLASSES, by_slide).mean_f1_interval
    assert low == high  # both slides hold the same cells, so every draw is alike
    low, high = score(paired, CLASSES).mean_f1_interval
    assert low < high


@pytest.mark.parametrize("how", ["image", "slide"])
def test_one_unit_gives_no_interval(how):
    scores = score(images(A, slides=["s"]), CLASSES, Conventions(resample=how))
    assert scores.mean_f1_interval is None
    assert f"only one {how}" in score_table(scores)


def test_no_images():
    with pytest.raises(RegdataError, match="got none"):
        score([], CLASSES)


def test_dict_is_json_and_says_how():
    content = score(images([[2, 0, 0], [0, 0, 0], [0, 0, 0]]), CLASSES).to_dict()
    read = json.loads(json.dumps(content, allow_nan=False))
    assert read["classes"]["other"] == {
        "annotated": 0,
        "predicted": 0,
        "true_positive": 0,
        "precision": None,
        "recall": None,
        "f1": None,
        "f1_interval": None,
    }
    assert read["confusion"]["counts"][0] == [2, 0, 0]
    assert read["conventions"]["radius_um"] == 3.75
    assert read["conventions"]["scope"] == "image"
    assert "one-to-one" in read["conventions"]["matching"]


def test_table():
    lines = score_table(score(images(A, B), CLASSES)).splitlines()
    assert [line.split()[0] for line in lines[:5]] == [
        "class",
        "lymphocyte",
        "other",
        "mean",
        "detection",
    ]
    assert lines[1].split()[1:6] == ["7", "8", "0.625", "0.714", "0.667"]
    assert "0.606" in lines[3]
    assert lines[0].index("F1") + 2 == lines[1].index("0.667") + 5  # right edges in line
    assert "3.75 µm" in lines[5]
