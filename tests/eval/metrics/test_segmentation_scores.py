import json

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval.metrics.image_score import ImageScore
from regdata.eval.metrics.panoptic import PanopticQuality
from regdata.eval.metrics.segmentation_scores import SegmentationScores, summarise

NONE = PanopticQuality()
FIRST = ImageScore(
    name="first", annotated=4, predicted=3, paired=3, dice=0.8, aji=0.5, aji_plus=0.6,
    quality=PanopticQuality(2, 1, 2, 1.6),
    classes=(PanopticQuality(2, 1, 1, 1.5), PanopticQuality(0, 0, 1, 0.0), NONE),
    confusion=np.array([[2, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
)  # fmt: skip
SECOND = ImageScore(
    name="second", annotated=1, predicted=2, paired=1, dice=0.6, aji=0.3, aji_plus=0.4,
    quality=PanopticQuality(1, 1, 0, 0.9),
    classes=(PanopticQuality(0, 1, 0, 0.0), PanopticQuality(1, 0, 0, 0.9), NONE),
    confusion=np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]),
)  # fmt: skip
NAMES = ("a", "b", "absent")


def scores() -> SegmentationScores:
    return summarise([FIRST, SECOND], NAMES)


def test_binary_scores_are_means_over_images() -> None:
    binary = scores().binary
    assert binary["dice"].value == pytest.approx(0.7)
    assert (binary["dice"].low, binary["dice"].high) == pytest.approx((0.6, 0.8))
    assert binary["bpq"].value == pytest.approx((2 * 1.6 / 7 + 2 * 0.9 / 3) / 2)
    assert binary["precision"].value == pytest.approx((1 + 1 / 2) / 2)
    assert binary["recall"].value == pytest.approx((3 / 4 + 1) / 2)


def test_class_scores_by_hand() -> None:
    classes = scores().classes
    assert classes is not None
    a, b, absent = classes.classes
    assert (a.annotated, a.predicted, b.annotated, b.predicted) == (3, 4, 2, 1)
    # a is annotated in the first image only; pooled, the false positive of the second counts
    assert a.pq.value == pytest.approx(2 * 1.5 / 6)
    assert a.pq_pooled.value == pytest.approx(2 * 1.5 / 7)
    assert b.pq.value == pytest.approx((0 + 0.9) / 2)
    assert b.pq_pooled.value == pytest.approx(2 * 0.9 / 3)
    # 2 right, 1 wrongly given (twice), 1 missed, 1 spurious
    assert a.f1.value == pytest.approx(4 / (4 + 2 + 2))
    assert b.f1.value == pytest.approx(2 / (2 + 2))
    assert (a.recall.value, b.recall.value) == (1.0, 0.5)
    assert absent.pq.value is absent.pq_pooled.value is absent.f1.value is None
    assert classes.balanced_accuracy.value == 0.75
    assert classes.mpq_plus.value == pytest.approx((3 / 7 + 0.6) / 2)
    assert classes.mpq.value == pytest.approx(((0.5 + 0) / 2 + 0.9) / 2)
    assert classes.mean_f1.value == pytest.approx(0.5)


def test_empty_images_are_left_out() -> None:
    empty = ImageScore(
        name="empty",
        annotated=0,
        predicted=0,
        paired=0,
        dice=None,
        aji=None,
        aji_plus=None,
        quality=NONE,
    )
    both = summarise([FIRST, empty])
    assert both.binary["dice"].value == 0.8
    assert summarise([empty]).binary["f1"].value is None


def test_images_without_classes_count_for_the_binary_scores_only() -> None:
    plain = ImageScore(
        name="plain",
        annotated=1,
        predicted=0,
        paired=0,
        dice=0.0,
        aji=0.0,
        aji_plus=0.0,
        quality=PanopticQuality(0, 0, 1, 0.0),
    )
    mixed = summarise([FIRST, SECOND, plain], NAMES)
    assert mixed.binary["dice"].value == pytest.approx(1.4 / 3)
    assert mixed.classes is not None
    assert scores().classes is not None
    assert mixed.classes.to_dict() == scores().classes.to_dict()  # type: ignore[union-attr]
    assert summarise([plain]).classes is None


def test_json_holds_every_image() -> None:
    content = json.loads(json.dumps(scores().to_dict(), allow_nan=False))
    assert [image["name"] for image in content["images"]] == ["first", "second"]
    assert content["images"][1]["pq"] == {"a": 0.0, "b": 0.9, "absent": None}
    assert content["images"][0]["paired"] == 3
    assert content["classes"]["per_class"]["a"]["annotated"] == 3
    assert content["classes"]["confusion"]["counts"][0] == [2, 0, 0, 1]


def test_no_image_is_an_error() -> None:
    with pytest.raises(RegdataError, match="at least one annotated image"):
        summarise([])
