import itertools

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval import auroc_difference, bootstrap, bootstrap_difference
from regdata.eval.metrics.classification import auroc
from regdata.eval.metrics.paired import mean_f1

RNG = np.random.default_rng(5)


def counts(hits: list[int]) -> np.ndarray:
    """One class, ten annotated cells and ten found in each image."""
    return np.array([[[h, 10 - h], [10 - h, 0]] for h in hits])


def test_the_value_is_that_of_the_pooled_counts() -> None:
    estimate = bootstrap(counts([8, 6, 1]))
    assert estimate.value == 0.5
    assert estimate.low < 0.5 < estimate.high
    many = counts(RNG.integers(0, 11, 30).tolist())
    seeds = [bootstrap(many, draws=25, seed=seed) for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]
    single = bootstrap(counts([8]))
    assert (single.value, single.low) == (0.8, None)


def test_slides_are_drawn_whole() -> None:
    spread = bootstrap(counts([8, 2, 8, 2]))
    whole = bootstrap(counts([8, 2, 8, 2]), units=["a", "a", "b", "b"])
    assert whole.low == whole.high == spread.value == 0.5
    assert spread.low < 0.5


def test_a_paired_difference_is_sharper_than_two_intervals() -> None:
    hard = RNG.integers(1, 9, 40)  # images differ much; the second is better by one in each
    result = bootstrap_difference(counts(hard.tolist()), counts((hard + 1).tolist()))
    assert result.value == pytest.approx(0.1)
    assert result.low == pytest.approx(result.high)
    assert result.p == pytest.approx(2 / 1001)
    same = bootstrap_difference(counts([8, 3]), counts([8, 3]))
    assert (same.value, same.p) == (0.0, 1.0)


def test_p_of_no_difference_is_rarely_small() -> None:
    small = 0
    for seed in range(60):
        one, two = np.random.default_rng(seed).integers(0, 11, (2, 30))
        result = bootstrap_difference(counts(one.tolist()), counts(two.tolist()), draws=200)
        small += result.p < 0.05
    assert small <= 9  # 3 of 60 expected


def delong_twin(truth, first, second) -> float:
    """Variance of the difference from the matrix of all pairs (DeLong et al., 1988)."""
    parts = []
    for score in (first, second):
        a, b = score[truth], score[~truth]
        parts.append((a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None]))
    apart = parts[1] - parts[0]
    return float(
        apart.mean(axis=1).var(ddof=1) / apart.shape[0]
        + apart.mean(axis=0).var(ddof=1) / apart.shape[1]
    )


def test_delong_against_all_pairs() -> None:
    truth = RNG.random(80) < 0.4
    first = truth + RNG.normal(0, 1, 80).round(1)
    second = truth * 2 + RNG.normal(0, 1, 80).round(1)
    result = auroc_difference(truth, first, second)
    assert result.first == pytest.approx(auroc(truth, first))
    assert result.value == pytest.approx(auroc(truth, second) - auroc(truth, first))
    error = np.sqrt(delong_twin(truth, first, second))
    assert result.high - result.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    swapped = auroc_difference(truth, second, first)
    assert (swapped.value, swapped.p) == pytest.approx((-result.value, result.p))


def test_auroc_by_slide_draws_all_its_cells() -> None:
    truth = RNG.random(200) < 0.5
    first, second = RNG.random(200), truth + RNG.random(200)
    units = [f"s{i % 5}" for i in range(200)]
    result = auroc_difference(truth, first, second, units, draws=100)
    assert result.value == pytest.approx(auroc(truth, second) - auroc(truth, first))
    assert result.low < result.value < result.high
    assert result.p == pytest.approx(2 / 101)
    one = auroc_difference(truth, first, second, ["s"] * 200)
    assert (one.value, one.low, one.p) == (pytest.approx(result.value), None, None)


@pytest.mark.parametrize("truth", [[True] * 4, [False] * 4, []])
def test_auroc_of_one_class_has_no_difference(truth) -> None:
    score = np.arange(len(truth), dtype=float)
    result = auroc_difference(np.array(truth, bool), score, score)
    assert (result.value, result.low, result.p) == (None, None, None)


def test_equal_scores_do_not_differ() -> None:
    truth = np.array([True, False, True, False])
    result = auroc_difference(truth, np.arange(4.0), np.arange(4.0))
    assert (result.value, result.p) == (0.0, 1.0)


def test_any_statistic_of_sums_will_do() -> None:
    values = np.array([1.0, 2, 6])
    means = sorted(sum(w) for w in itertools.product(values, repeat=3))
    estimate = bootstrap(values, lambda sums: sums / 3, draws=2000)
    assert estimate.value == 3
    assert estimate.low >= means[0] / 3
    assert estimate.high <= means[-1] / 3
    assert np.isnan(mean_f1(np.zeros((1, 3, 3)))).all()


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(RegdataError, match="3 and 2"):
        bootstrap_difference(counts([1, 2, 3]), counts([1, 2]))
    with pytest.raises(RegdataError, match="slide for each of 2"):
        bootstrap(counts([1, 2]), units=["a"])
    with pytest.raises(RegdataError, match="got none"):
        bootstrap(np.zeros((0, 2, 2)))
