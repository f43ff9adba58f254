import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from regdata.labelling.thresholds.gaussians import Mixture, delta_bic, fit_mixture, one_population


def draw(seed: int, *parts: tuple[int, float, float]) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(mean, sd, n) for n, mean, sd in parts])


def mixture(*parts: tuple[float, float, float]) -> Mixture:
    weights, means, sds = np.array(parts).T
    return Mixture(weights / weights.sum(), means, sds)


@pytest.mark.parametrize("size", [1, 40], ids=("as they are", "binned"))
@pytest.mark.parametrize(
    "parts",
    [
        ((2000, 0, 1), (1000, 5, 1)),
        ((3000, 1, 0.3), (100, 4, 0.8)),
        ((1500, 0, 2), (1500, 7, 0.5)),
        ((3980, 0, 1), (20, 9, 0.5)),  # 0.5 %
    ],
)
def test_two_populations_are_found(parts: tuple[tuple[int, float, float], ...], size: int) -> None:
    x = draw(0, *((n * size, mean, sd) for n, mean, sd in parts))
    found = fit_mixture(x)
    n, means, sds = np.array(parts).T
    error = sds / np.sqrt(n * size)
    assert (np.abs(found.means - means) < 5 * error + 0.01).all()
    assert np.allclose(found.sds, sds, rtol=0.05, atol=0.15 if size == 1 else 0.02)
    assert np.allclose(found.weights, n / n.sum(), atol=0.01)
    truth = np.repeat([False, True], (n * size).astype(int))
    assert ((x > found.gate()) == truth).mean() > 0.98


def test_three_populations_are_found() -> None:
    x = draw(1, (20000, 0, 1), (6000, 6, 1), (3000, 11, 0.7))
    found = fit_mixture(x, components=3)
    assert found.means == pytest.approx([0, 6, 11], abs=0.1)
    assert found.sds == pytest.approx([1, 1, 0.7], abs=0.05)
    assert found.gate() == pytest.approx(8.5, abs=0.1)  # between the two highest


def test_weights_count_like_repeats() -> None:
    x = draw(2, (300, 0, 1), (100, 5, 1))
    w = np.random.default_rng(0).integers(0, 4, len(x))
    weighted, repeated = fit_mixture(x, w), fit_mixture(np.repeat(x, w))
    assert np.allclose(weighted.means, repeated.means)
    assert np.allclose(weighted.sds, repeated.sds)
    assert np.allclose(weighted.weights, repeated.weights)


def test_it_is_deterministic_and_blind_to_order() -> None:
    x = draw(3, (20000, 0, 1), (300, 4, 1))
    a, b = fit_mixture(x), fit_mixture(x[::-1].copy())
    assert np.allclose(a.means, b.means, atol=1e-9)


def test_hot_values_are_no_population() -> None:
    x = np.concatenate([draw(4, (50000, 0, 1), (5000, 6, 1)), [60.0, 80.0]])
    assert fit_mixture(x).means == pytest.approx([0, 6], abs=0.1)


def test_the_gate_does_not_hug_a_spike() -> None:
    x = draw(2, (7000, 0, 0.1), (3000, 3, 1))
    found = fit_mixture(x)
    assert found.gate() == pytest.approx(1.5, abs=0.1)
    assert (x[:7000] > found.gate()).sum() == 0


def test_separation_is_ashmans_d() -> None:
    assert mixture((1, 0, 1), (1, 3, 1)).separation == pytest.approx(3)
    assert mixture((1, 0, 3), (1, 10, 4)).separation == pytest.approx(2**0.5 * 2)


@pytest.mark.parametrize("n", [300, 20000])
def test_one_population_or_two(n: int) -> None:
    rng = np.random.default_rng(5)
    one = (rng.normal(0, 1, n), np.abs(rng.normal(0, 1, n)), rng.exponential(1, n))
    # the tail of a log is long, and a shoulder is no second population
    more = (np.log(rng.exponential(1, n)), draw(6, (n, 0, 1), (n // 3, 2.5, 1)))
    for x in (*one, *more, rng.gamma(3, 1, n), rng.standard_t(4, n)):
        assert one_population(x)
    rare = max(n // 200, 3)
    for parts in (((n, 0, 1), (n // 3, 5, 1)), ((n, 0, 1), (rare, 8, 0.5))):
        x = draw(6, *parts)
        assert not one_population(x)
        assert delta_bic(x) > 50


def test_bic_is_that_of_the_textbook() -> None:
    x = draw(7, (400, 0, 1), (200, 4, 1))
    m = fit_mixture(x)
    two = np.log((m.weights * norm.pdf(x[:, None], m.means, m.sds)).sum(1)).sum()
    one = norm.logpdf(x, x.mean(), x.std()).sum()
    expected = (2 * np.log(600) - 2 * one) - (5 * np.log(600) - 2 * two)
    assert delta_bic(x) == pytest.approx(expected)
    assert delta_bic(x, np.full(600, 37.0)) == pytest.approx(expected)


@pytest.mark.parametrize("x", [[3.0], [3.0] * 9, [0.0] * 10000], ids=str)
def test_values_without_spread(x: list[float]) -> None:
    m = fit_mixture(x)
    assert np.isfinite([*m.means, *m.sds, *m.weights, m.gate()]).all()
    assert one_population(x)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="2 or 3, not 4"):
        fit_mixture([1.0, 2.0], components=4)
    with pytest.raises(ValueError, match="needs values"):
        fit_mixture([])
