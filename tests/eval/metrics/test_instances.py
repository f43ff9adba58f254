import json
import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regdata.errors import RegdataError
from regdata.eval.metrics.instances import aji, aji_plus, dice, overlaps
from regdata.eval.metrics.panoptic import panoptic_quality

GOLDEN = os.environ.get("REGDATA_GOLDEN")
TRUTH = np.array([[1, 1, 1, 0], [1, 0, 2, 2], [0, 0, 2, 2]])
FOUND = np.array([[5, 5, 9, 9], [5, 0, 9, 9], [0, 0, 0, 7]])
maps = arrays(np.int64, (4, 5), elements=st.integers(0, 4))


def test_areas_and_shared_areas_of_a_hand_made_pair() -> None:
    pairs = overlaps(TRUTH, FOUND)
    assert pairs.true_ids.tolist() == [1, 2]
    assert pairs.predicted_ids.tolist() == [5, 7, 9]
    assert pairs.true_area.tolist() == [4, 4]
    assert pairs.predicted_area.tolist() == [3, 1, 4]
    assert list(zip(pairs.rows, pairs.columns, pairs.shared, strict=True)) == [
        (0, 0, 3), (0, 2, 1), (1, 1, 1), (1, 2, 2)
    ]  # fmt: skip
    assert pairs.iou.tolist() == [3 / 4, 1 / 7, 1 / 4, 1 / 3]
    assert pairs.matched.tolist() == [True, False, False, False]


def test_scores_of_the_hand_made_pair() -> None:
    pairs = overlaps(TRUTH, FOUND)
    assert dice(pairs) == 2 * 7 / (8 + 8)
    # 1 takes 5 (3 of 4), 2 takes 9 (2 of 6), 7 is left over (1)
    assert aji(pairs) == aji_plus(pairs) == 5 / (4 + 6 + 1)


def test_aji_lets_two_nuclei_take_the_same_one_and_aji_plus_does_not() -> None:
    pairs = overlaps(np.array([[1, 1, 1, 2, 2]]), np.array([[3, 3, 3, 3, 3]]))
    assert aji(pairs) == 5 / 10
    assert aji_plus(pairs) == 3 / (5 + 2)


def test_the_best_total_of_iou_is_taken_not_the_best_first() -> None:
    """Greedy would pair 1 with 8 (IoU 3/8) and leave 2 and 7 with what is left."""
    truth = np.array([[1] * 6 + [2] * 5])
    found = np.array([[7] * 3 + [8] * 8])
    pairs = overlaps(truth, found)
    assert aji_plus(pairs) == 8 / (6 + 8)


@given(maps, maps)
def test_against_twins_by_masks(truth: np.ndarray, found: np.ndarray) -> None:
    pairs = overlaps(truth, found)
    a = [truth == i for i in np.unique(truth[truth > 0])]
    b = [found == i for i in np.unique(found[found > 0])]
    shared = [(i, j, (p & q).sum()) for i, p in enumerate(a) for j, q in enumerate(b)]
    assert list(zip(pairs.rows, pairs.columns, pairs.shared, strict=True)) == [
        row for row in shared if row[2]
    ]
    assert aji(pairs) == pytest.approx(twin_aji(a, b))
    best = max(totals(a, b), default=0)
    assert best == pytest.approx(total_iou(pairs, aji_plus(pairs), a, b))


@given(maps, maps)
def test_tables_of_either_kind_agree(truth: np.ndarray, found: np.ndarray) -> None:
    """Ids far apart take the way for ids that no table could hold."""
    plain, far = overlaps(truth, found), overlaps(truth * 1_000_000_007, found * 1_000_000)
    for name in ("true_area", "predicted_area", "rows", "columns", "shared"):
        assert np.array_equal(getattr(plain, name), getattr(far, name))
    assert far.true_ids.tolist() == (plain.true_ids * 1_000_000_007).tolist()


def test_more_pairs_than_a_table_could_hold() -> None:
    ids = np.arange(1, 10_001).reshape(100, 100)
    pairs = overlaps(ids, ids[::-1])
    assert pairs.shared.tolist() == [1] * 10_000
    assert aji(pairs) == aji_plus(pairs) == dice(pairs) == 1.0


def test_equal_maps_are_perfect_and_empty_ones_have_no_score() -> None:
    nothing = np.zeros((3, 3), np.int32)
    for score in (dice, aji, aji_plus):
        assert score(overlaps(TRUTH, TRUTH)) == 1.0
        assert score(overlaps(nothing, nothing)) is None
        assert score(overlaps(TRUTH, np.zeros_like(TRUTH))) == 0.0
        assert score(overlaps(np.zeros_like(TRUTH), TRUTH)) == 0.0


def test_maps_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(RegdataError, match="one size"):
        overlaps(TRUTH, TRUTH.T)
    with pytest.raises(RegdataError, match="from 0 on, got -1"):
        overlaps(TRUTH, -np.minimum(TRUTH, 1))


@pytest.mark.skipif(GOLDEN is None, reason="REGDATA_GOLDEN names no folder of recorded outputs")
@pytest.mark.parametrize("case", ["i01", "i03", "i06", "i10"])
def test_the_numbers_of_hovernet(case: str) -> None:
    """Where its own functions fail (an empty map) ours give 0, as theirs do for PQ."""
    path = next((Path(str(GOLDEN)) / "metrics").glob(f"{case}_*.npz"))
    recorded = json.loads(path.with_suffix(".json").read_text())["expected"]["hovernet_per_image"]
    with np.load(path) as file:
        truths, founds = file["gt_inst"], file["pred_inst"]
    assert len(recorded) == len(truths)
    for truth, found, expected in zip(truths, founds, recorded, strict=True):
        pairs = overlaps(truth, found)
        scores = {"dice1": dice(pairs), "aji": aji(pairs), "aji_plus": aji_plus(pairs)}
        for name, value in scores.items():
            theirs = expected[name]
            if isinstance(theirs, dict) or theirs is None:
                assert value in (None, 0.0), name
            else:
                assert value == pytest.approx(theirs, abs=1e-9), name
        quality = panoptic_quality(pairs)
        if isinstance(expected["tp"], int):
            counts = (quality.true_positive, quality.false_positive, quality.false_negative)
            assert counts == (expected["tp"], expected["fp"], expected["fn"])
            # theirs adds 1e-6 to the matched nuclei
            shaved = quality.true_positive / (quality.true_positive + 1e-6)
            assert (quality.sq or 0) * shaved == pytest.approx(expected["sq"], abs=1e-9)
            assert (quality.pq or 0) * shaved == pytest.approx(expected["pq"], abs=1e-9)


def iou(p: np.ndarray, q: np.ndarray) -> float:
    return float((p & q).sum() / (p | q).sum())


def twin_aji(a: list[np.ndarray], b: list[np.ndarray]) -> float | None:
    """Nucleus by nucleus, as the paper's pseudo-code."""
    shared, union, used = 0, 0, set()
    for p in a:
        best = max(range(len(b)), key=lambda j: (iou(p, b[j]), -j), default=None)
        if best is None or not (p & b[best]).any():
            union += p.sum()
            continue
        shared, union = shared + (p & b[best]).sum(), union + (p | b[best]).sum()
        used.add(best)
    union += sum(q.sum() for j, q in enumerate(b) if j not in used)
    return shared / union if union else None


def totals(a: list[np.ndarray], b: list[np.ndarray]) -> list[float]:
    """Sum of IoU of every way to pair one-to-one."""
    if len(a) > len(b):
        a, b = b, a
    return [sum(iou(p, b[j]) for p, j in zip(a, way, strict=True)) for way in
            permutations(range(len(b)), len(a))]  # fmt: skip


def total_iou(
    pairs: object, score: float | None, a: list[np.ndarray], b: list[np.ndarray]
) -> float:
    """Sum of IoU of the pairing that explains an AJI+; of those, the highest."""
    if score is None:
        return 0.0
    flipped = len(a) > len(b)
    few, many = (b, a) if flipped else (a, b)
    found = []
    for way in permutations(range(len(many)), len(few)):
        linked = [(p, many[j]) for p, j in zip(few, way, strict=True) if (p & many[j]).any()]
        shared = sum((p & q).sum() for p, q in linked)
        alone = sum(p.sum() for p in (*few, *many)) - sum(p.sum() + q.sum() for p, q in linked)
        union = alone + sum((p | q).sum() for p, q in linked)
        if abs(shared / union - score) < 1e-12:
            found.append(sum(iou(p, q) for p, q in linked))
    return max(found)
