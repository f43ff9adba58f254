from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.thresholds.histogram import Histogram
from regdata.labelling.thresholds.methods import otsu_threshold
from regdata.labelling.thresholds.surface import CLAMP, Surface, local_thresholds

SIDE = 4000.0
Floats = NDArray[np.float64]


@dataclass
class Nuclei:
    xy: Floats
    values: Floats
    areas: Floats
    positive: NDArray[np.bool_]
    bare: NDArray[np.bool_]  # far from any stained nucleus

    @property
    def otsu(self) -> float:
        top = float(self.values.max())
        return otsu_threshold(Histogram.of(self.values, None, -50, top))

    def surface(self, tile_um: float = 200) -> Surface:
        size = (SIDE, SIDE)
        return local_thresholds(self.xy, self.values, self.areas, size, tile_um, self.otsu)

    def score(self, threshold: Floats | float) -> tuple[float, float]:
        """Precision and recall."""
        called = np.percentile(self.values, 85, axis=1) > threshold
        both = (called & self.positive).sum()
        return both / max(1, called.sum()), both / max(1, self.positive.sum())


def simulate(seed: int, sd: float, share: float, gain: float = 3.0, noise: float = 6.0) -> Nuclei:
    """Nuclei in patches with and without stained ones; stain and background drift."""
    rng = np.random.default_rng(seed)
    n = 25000
    xy = rng.uniform(0, SIDE, (n, 2))
    u = xy / SIDE
    wave = np.sin(3 * np.pi * u[:, 0] + seed) * np.sin(3 * np.pi * u[:, 1] + 2 * seed) + 0.2
    positive = rng.random(n) < share * np.clip(wave / 1.2, 0, 1)
    texture = np.clip(rng.normal(0.8, 0.3, (n, 21)), 0.1, None)
    level = 100 * np.exp(rng.normal(0, sd, (n, 1)))
    # a neighbour's stain in some unstained nuclei
    spilt = (np.arange(21) < rng.integers(1, 3, (n, 1))) & (rng.random((n, 1)) < 0.05)
    stain = np.where(positive[:, None] | spilt, level * texture, 0)
    background = 10 * (0.5 + 0.5 * np.sin(2 * np.pi * u[:, 1:] + 1))
    values = gain ** u[:, :1] * (stain + background + rng.normal(0, noise / 2, (n, 21)))
    values = np.sort(values + rng.normal(0, noise, (n, 21)), axis=1)
    return Nuclei(xy, values, rng.lognormal(3.5, 0.3, n), positive, wave < -0.5)


@pytest.mark.parametrize("sd", [0.3, 0.45, 0.6])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_threefold_drift_is_followed(sd: float, share: float) -> None:
    nuclei = simulate(2, sd, share)
    precision, recall = nuclei.score(nuclei.surface().at(nuclei.xy))
    assert min(precision, recall) >= 0.97
    assert min(nuclei.score(nuclei.otsu)) < recall - 0.05


def test_bare_regions_stay_negative() -> None:
    nuclei = simulate(3, 0.45, 0.3)
    assert nuclei.bare.sum() > 1000
    assert not nuclei.positive[nuclei.bare].any()
    surface = nuclei.surface(100)
    called = np.percentile(nuclei.values, 85, axis=1) > surface.at(nuclei.xy)
    assert not called[nuclei.bare].any()
    within = np.floor(nuclei.xy[nuclei.bare] / 100).astype(int)
    assert np.median(surface.weight[within[:, 1], within[:, 0]]) < 0.05  # they say nothing
    assert surface.weight.max() == 1


def test_without_drift_it_is_one_threshold() -> None:
    nuclei = simulate(4, 0.45, 0.3, gain=1)
    surface = nuclei.surface()
    assert surface.grid.max() < 1.6 * surface.grid.min()
    assert min(nuclei.score(surface.at(nuclei.xy))) >= 0.97


@pytest.mark.parametrize("kind", ["normal", "clipped", "exponential", "lognormal", "constant"])
def test_noise_gives_no_evidence(kind: str) -> None:
    rng = np.random.default_rng(5)
    values = {
        "normal": rng.normal(3, 6, (9000, 21)),
        "clipped": np.maximum(rng.normal(0, 6, (9000, 21)), 0),
        "exponential": rng.exponential(6, (9000, 21)),
        "lognormal": 6 * np.exp(rng.normal(0, 0.7, (9000, 21))),
        "constant": np.zeros((9000, 21)),
    }[kind]
    xy = rng.uniform(0, SIDE, (9000, 2))
    surface = local_thresholds(xy, values, np.ones(9000), (SIDE, SIDE), 300, 60)
    assert surface.grid.shape == (14, 14)
    assert surface.weight.max() == 0
    assert np.allclose(surface.grid, 60)


def test_it_departs_from_the_global_threshold_by_a_factor_at_most() -> None:
    rng = np.random.default_rng(6)
    xy = rng.uniform(0, SIDE, (20000, 2))
    stained = rng.random((20000, 1)) < 0.3
    values = rng.normal(0, 2, (20000, 21)) + np.where(stained, 1000, 0)
    high = local_thresholds(xy, values, np.ones(20000), (SIDE, SIDE), 500, 10)
    assert 0.99 * 10 * CLAMP < high.grid.max() <= 10 * CLAMP * 1.0001


def test_the_units_and_the_blocks_do_not_matter() -> None:
    nuclei = simulate(7, 0.45, 0.3)
    plain = nuclei.surface()
    scaled = local_thresholds(
        nuclei.xy, 0.01 * nuclei.values, 7 * nuclei.areas, (SIDE, SIDE), 200, 0.01 * nuclei.otsu
    )
    assert np.allclose(scaled.grid, 0.01 * plain.grid, rtol=1e-4)
    assert np.allclose(scaled.weight, plain.weight, atol=1e-4)


def test_a_few_stained_nuclei_count_for_little() -> None:
    rng = np.random.default_rng(10)
    values = rng.normal(0, 6, (500, 21))
    values[:4] += 300
    xy = rng.uniform(0, 500, (500, 2))
    few = local_thresholds(xy, values, np.ones(500), (500, 500), 500, 60)
    assert few.weight.item() == pytest.approx(0.4, abs=0.01)  # of ten
    values[4:30] += 300
    enough = local_thresholds(xy, values, np.ones(500), (500, 500), 500, 60)
    assert enough.weight.item() == 1


def test_larger_nuclei_count_for_more() -> None:
    nuclei = simulate(8, 0.45, 0.1)
    nuclei.areas[nuclei.positive] = 0
    assert nuclei.surface().weight.max() == 0


def test_chunks_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nuclei = simulate(9, 0.45, 0.3)
    whole = nuclei.surface()
    monkeypatch.setattr("regdata.labelling.thresholds.surface._CHUNK", 777)
    assert np.allclose(nuclei.surface().grid, whole.grid, rtol=1e-5)


def test_no_nuclei() -> None:
    empty = local_thresholds(np.zeros((0, 2)), np.zeros((0, 21)), np.zeros(0), (1000, 500), 200, 12)
    assert empty.grid.shape == (3, 5)
    assert (empty.grid == 12).all()
    assert (empty.weight == 0).all()


def test_interpolation() -> None:
    surface = Surface(np.array([[0, 10], [20, 30]], np.float32), 100.0, np.zeros((2, 2)))
    points = [[50, 50], [150, 50], [100, 100], [-99, 0], [999, 999], [125, 50]]
    assert surface.at(np.array(points)) == pytest.approx([0, 10, 15, 0, 30, 7.5])
    assert Surface.constant(7).at(np.array(points)).tolist() == [7] * 6
    assert surface.at(np.zeros((0, 2))).shape == (0,)
