import json
import os
from pathlib import Path

import numpy as np
import pytest

from regdata.eval.metrics.instances import overlaps
from regdata.eval.metrics.panoptic import PanopticQuality, class_panoptic_quality, panoptic_quality

GOLDEN = os.environ.get("REGDATA_GOLDEN")
TRUTH = np.array([[1, 1, 0, 2, 2, 2, 0, 3]])
FOUND = np.array([[1, 1, 0, 2, 2, 0, 4, 0]])


def test_binary_quality_by_hand() -> None:
    quality = panoptic_quality(overlaps(TRUTH, FOUND))
    assert quality == PanopticQuality(2, 1, 1, 1 + 2 / 3)
    assert quality.dq == 4 / 6
    assert quality.sq == pytest.approx(5 / 6)
    assert quality.pq == pytest.approx(4 / 6 * 5 / 6)


def test_an_iou_of_one_half_is_no_match() -> None:
    quality = panoptic_quality(overlaps(np.array([[1, 1, 0]]), np.array([[1, 0, 0]])))
    assert (quality.true_positive, quality.pq) == (0, 0.0)


def test_without_nuclei_there_is_no_quality() -> None:
    assert (PanopticQuality().dq, PanopticQuality().sq, PanopticQuality().pq) == (None,) * 3
    assert PanopticQuality(false_positive=1).pq == PanopticQuality(false_negative=1).pq == 0.0


def test_pooled_counts_are_those_of_one_large_image() -> None:
    both = panoptic_quality(overlaps(np.hstack([TRUTH, TRUTH + 9]), np.hstack([FOUND, FOUND * 0])))
    rest = panoptic_quality(overlaps(TRUTH + 9, FOUND * 0))
    assert panoptic_quality(overlaps(TRUTH, FOUND)) + rest == both


@pytest.mark.parametrize(
    ("true_class", "predicted_class", "expected"),
    [
        ([0, 0, 1], [0, 0, 1], [(2, 0, 0), (0, 1, 1)]),
        ([0, 1, 1], [0, 0, 1], [(1, 1, 0), (0, 1, 2)]),
        ([-1, 0, 0], [1, 0, 1], [(1, 0, 1), (0, 1, 0)]),  # what lies on an unnamed one is ignored
        ([0, 0, -1], [0, 0, 0], [(2, 1, 0), (0, 0, 0)]),
    ],
)
def test_per_class_quality(
    true_class: list[int], predicted_class: list[int], expected: list[tuple[int, int, int]]
) -> None:
    pairs = overlaps(TRUTH, FOUND)
    found = class_panoptic_quality(pairs, np.array(true_class), np.array(predicted_class), 2)
    counts = [(q.true_positive, q.false_positive, q.false_negative) for q in found]
    assert counts == expected


@pytest.mark.skipif(GOLDEN is None, reason="REGDATA_GOLDEN names no folder of recorded outputs")
@pytest.mark.parametrize("case", ["i01", "i03", "i06", "i10"])
def test_pooled_classes_of_conic(case: str) -> None:
    """It adds 1e-6 to denominators and counts absent classes as 0; the counts are the same."""
    path = next((Path(str(GOLDEN)) / "metrics").glob(f"{case}_*.npz"))
    recorded = json.loads(path.with_suffix(".json").read_text())["expected"]["conic_dataset"]
    classes = len(recorded["per_class"])
    pooled = [PanopticQuality()] * classes
    with np.load(path) as file:
        names = ("gt_inst", "gt_type", "pred_inst", "pred_type")
        stacks = [file[name] for name in names]
    for truth, true_type, found, found_type in zip(*stacks, strict=True):
        pairs = overlaps(truth, found)
        true_class = [np.bincount(true_type[truth == i]).argmax() - 1 for i in pairs.true_ids]
        predicted_class = [
            np.bincount(found_type[found == i]).argmax() - 1 for i in pairs.predicted_ids
        ]
        kinds = (np.array(true_class, np.int64), np.array(predicted_class, np.int64))
        new = class_panoptic_quality(pairs, *kinds, classes)
        pooled = [a + b for a, b in zip(pooled, new, strict=True)]
    for number, quality in enumerate(pooled, 1):
        theirs = recorded["per_class"][str(number)]
        counts = (quality.true_positive, quality.false_positive, quality.false_negative)
        assert counts == (theirs["tp"], theirs["fp"], theirs["fn"])
        assert quality.iou == pytest.approx(theirs["sum_iou"], abs=1e-9)
        assert (quality.pq or 0) == pytest.approx(theirs["pq"], abs=1e-6)
    assert np.mean([q.pq or 0 for q in pooled]) == pytest.approx(recorded["mpq_plus"], abs=1e-6)
