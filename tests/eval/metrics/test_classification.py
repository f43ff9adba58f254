import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from regdata.errors import RegdataError
from regdata.eval import score_classes
from regdata.eval.metrics.classification import (
    agreement_scores,
    auroc,
    average_precision,
    calibration,
    cohen_kappa,
    confusion_matrix,
    weighted_auroc,
)

cells = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12).map(
    lambda rows: (np.array([r[0] for r in rows], bool), np.array([r[1] / 4 for r in rows], float))
)
labels = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20)


@given(cells)
def test_auroc_is_the_share_of_ordered_pairs(both) -> None:
    truth, score = both
    pairs = list(itertools.product(score[truth], score[~truth]))
    expected = np.mean([(a > b) + (a == b) / 2 for a, b in pairs]) if pairs else None
    assert auroc(truth, score) == (None if expected is None else pytest.approx(expected))


@given(cells, st.integers(0, 99))
def test_weights_are_repetitions(both, seed) -> None:
    truth, score = both
    times = np.random.default_rng(seed).integers(0, 3, len(truth))
    weighted = weighted_auroc(truth, score, times[None].astype(float))[0]
    repeated = auroc(np.repeat(truth, times), np.repeat(score, times))
    assert (None if np.isnan(weighted) else weighted) == (
        None if repeated is None else pytest.approx(repeated)
    )


@given(cells)
def test_average_precision_goes_threshold_by_threshold(both) -> None:
    truth, score = both
    if not truth.any():
        assert average_precision(truth, score) is None
        return
    total, before = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        taken = score >= threshold
        recall = truth[taken].sum() / truth.sum()
        total += (recall - before) * truth[taken].mean()
        before = recall
    assert average_precision(truth, score) == pytest.approx(total)


@settings(deadline=None)
@given(labels)
def test_scores_of_labels_against_their_definitions(rows) -> None:
    truth, guess = np.array(rows).T
    matrix = confusion_matrix(truth, guess, 3)
    ours = agreement_scores(matrix)
    assert ours["accuracy"] == pytest.approx((truth == guess).mean())
    recalls = [(guess[truth == c] == c).mean() for c in np.unique(truth)]
    assert ours["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    hot = [np.eye(3)[x] - np.eye(3)[x].mean(axis=0) for x in (truth, guess)]
    spread = np.sqrt((hot[0] ** 2).sum() * (hot[1] ** 2).sum())  # correlation of one-hot labels
    expected = (hot[0] * hot[1]).sum() / spread if spread > 1e-12 else None
    assert ours["mcc"] == (None if expected is None else pytest.approx(expected))
    chance = sum((truth == c).mean() * (guess == c).mean() for c in range(3))
    kappa = (ours["accuracy"] - chance) / (1 - chance) if chance < 1 - 1e-12 else None
    assert ours["kappa"] == (None if kappa is None else pytest.approx(kappa))


def test_weighted_kappa_by_hand() -> None:
    matrix = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 3]])
    expected = np.outer(matrix.sum(1), matrix.sum(0)) / 10
    weights = np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]])
    by_hand = 1 - (weights * matrix).sum() / (weights * expected).sum()
    assert cohen_kappa(matrix, 2) == pytest.approx(by_hand)
    assert cohen_kappa(matrix, 1) != cohen_kappa(matrix, 2) != cohen_kappa(matrix)
    assert cohen_kappa(np.array([[4, 0], [0, 0]])) is None


def test_calibration_by_hand() -> None:
    confidence = np.array([0.1, 0.15, 0.9, 1.0, 0.0])
    result = calibration(confidence, np.array([False, True, True, True, False]), 10)
    cells = [(row["bin"], row["cells"]) for row in result["curve"]]
    assert cells == [(0, 2), (1, 1), (8, 1), (9, 1)]
    # 0.05 too sure of two; 0.85 too unsure of one; 0.1 of one; right of one
    assert result["ece"] == pytest.approx((2 * 0.05 + 0.85 + 0.1 + 0) / 5)
    assert calibration(np.zeros(0), np.zeros(0, bool)) == {"ece": None, "curve": []}
    with pytest.raises(RegdataError, match="0 to 1"):
        calibration(np.array([1.5]), np.array([True]))


def test_all_scores_of_probabilities() -> None:
    truth = np.array([0, 1, 1, 0])
    given = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.7, 0.3, 0]])
    result = score_classes(truth, given)
    assert result["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert result["auroc"]["per_class"] == [1.0, 1.0, None]
    assert result["auroc"]["macro"] == 1.0
    hot = np.eye(3)[truth].astype(bool)
    assert result["auroc"]["micro"] == auroc(hot.ravel(), given.ravel())
    # one cell each at 0.9, 0.8 and 0.7, right, and one at 0.6, wrong
    assert result["calibration"]["ece"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.6) / 4)
    none = score_classes(np.zeros(0, int), np.zeros((0, 2)))
    assert none["accuracy"] is None
    assert none["auroc"] == {"per_class": [None, None], "macro": None, "micro": None}
    with pytest.raises(RegdataError, match=r"one class of 0\.\.2"):
        score_classes(np.array([0, 3, 1, 1]), given)


def test_parity_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, given = rng.integers(0, 3, 300), rng.dirichlet([1, 1, 1], 300).round(2)
    given[:, 2] = 1 - given[:, 0] - given[:, 1]
    ours, guess = score_classes(truth, given), given.argmax(axis=1)
    for name, theirs in (
        ("balanced_accuracy", metrics.balanced_accuracy_score),
        ("mcc", metrics.matthews_corrcoef),
        ("kappa", metrics.cohen_kappa_score),
    ):
        assert ours[name] == pytest.approx(theirs(truth, guess))
    for c in range(3):
        hot = truth == c
        area = metrics.roc_auc_score(hot, given[:, c])
        precision = metrics.average_precision_score(hot, given[:, c])
        assert ours["auroc"]["per_class"][c] == pytest.approx(area)
        assert ours["ap"]["per_class"][c] == pytest.approx(precision)
    assert ours["auroc"]["macro"] == pytest.approx(
        metrics.roc_auc_score(truth, given, multi_class="ovr")
    )
