from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import slide_of

from regdata.errors import RegdataError
from regdata.labelling.measuring.intensity import LEVELS, overlap
from regdata.labelling.thresholds import threshold as module
from regdata.labelling.thresholds.histogram import Histogram
from regdata.labelling.thresholds.methods import (
    MIN_CONTRAST,
    mad_threshold,
    otsu_threshold,
    parse_method,
    stained_from,
)
from regdata.labelling.thresholds.threshold import (
    Nuclei,
    Threshold,
    evident_share,
    find_threshold,
    tissue_at,
    tissue_histogram,
)

Plane = NDArray[np.float32]
ALL = np.ones((4, 4), bool)


def noisy(size: int = 400, seed: int = 0) -> Plane:
    return np.random.default_rng(seed).normal(10, 2, (size, size)).astype(np.float32)


def pixels_of(image: Plane, tissue: NDArray[np.bool_] = ALL) -> Histogram:
    return tissue_histogram(slide_of(image, 0.5), tissue)


def test_only_tissue_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy()[:200, :300].copy()
    image[20:60, 20:120] += 100  # stained tissue
    image[:, 200:] = 400  # a bright artefact off the tissue
    tissue = np.zeros((20, 30), bool)
    tissue[:, :20] = True
    found = pixels_of(image, tissue)
    assert found.total == 40000
    assert 20 < otsu_threshold(found) < 100
    assert found.high < 200
    monkeypatch.setattr(module, "_STEP", 77)
    told: list[float] = []
    again = tissue_histogram(slide_of(image, 0.5), tissue, told.append)
    assert np.array_equal(again.counts, found.counts)
    assert told[-1] == 1


def test_hot_pixels_do_not_move_it() -> None:
    image = noisy()
    image[50:100, 50:250] += 100
    clean = otsu_threshold(pixels_of(image))
    rng = np.random.default_rng(1)
    image[rng.integers(0, 400, 20), rng.integers(0, 400, 20)] = 60000
    assert otsu_threshold(pixels_of(image)) == pytest.approx(clean, rel=0.1)


@pytest.mark.parametrize("clipped", [False, True])
def test_one_rare_nucleus_is_found_and_noise_is_not(clipped: bool) -> None:
    noise = np.random.default_rng(0).normal(0, 20, (400, 400)).astype(np.float32)
    noise = np.abs(noise) if clipped else noise
    found = pixels_of(noise)
    assert 2 < stained_from(found)[1] < MIN_CONTRAST - 0.5
    noise[100:115, 100:115] += 600  # one nucleus in 160,000 pixels is enough to be seen
    found = pixels_of(noise)
    cut, contrast = stained_from(found)
    assert contrast > 2 * MIN_CONTRAST
    assert 100 < cut < 500
    share = found.counts[found.centres > cut].sum() / found.total
    assert share == pytest.approx(225 / 160000, rel=0.05)


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.325, 0.65])
def test_noise_of_single_pixels_is_one_population_at_any_resolution(mpp: float) -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 20, (600, 700))).astype(np.float32)
    found = tissue_histogram(slide_of(noise, mpp), ALL)
    assert stained_from(found)[1] < MIN_CONTRAST
    assert found.counts[-1] < 1e-3 * found.total  # it does not pile up at the end
    noise[300:340, 300:340] += 600
    assert stained_from(tissue_histogram(slide_of(noise, mpp), ALL))[1] > 2 * MIN_CONTRAST


def test_noise_around_zero_is_kept_whole() -> None:
    noise = np.random.default_rng(0).normal(0, 20, (400, 400)).astype(np.float32)
    found = pixels_of(noise)
    assert found.low < -80
    assert found.counts[0] < 1e-4 * found.total


def test_nothing_above_background() -> None:
    with pytest.raises(RegdataError, match=r"CD3 of if\.tif shows nothing above its background"):
        pixels_of(np.zeros((50, 50), np.float32))


def test_tissue_mask_of_a_region() -> None:
    tissue = np.array([[True, False], [False, True]])
    assert tissue_at(tissue, (8, 8), (2, 2), (4, 4)).tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, True],
        [False, False, True, True],
    ]


SIDE_UM = 2000.0


def population(
    positive: float = 0.3, count: int = 1500, dim: float = 20, bright: float = 600, seed: int = 0
) -> Nuclei:
    """Nuclei all over a square, a share of them stained."""
    rng = np.random.default_rng(seed)
    stained = rng.random(count) < positive
    level = np.where(stained, rng.lognormal(np.log(bright), 0.3, count), rng.normal(dim, 5, count))
    spread = np.linspace(1.3, 0.7, LEVELS + 1)
    curve = (level[:, None] * spread).astype(np.float32)
    xy = rng.uniform(0, SIDE_UM, (count, 2))
    return Nuclei(xy, np.full(count, 30.0), curve, (SIDE_UM, SIDE_UM))


def histogram_of(nuclei: Nuclei) -> Histogram:
    high = 1.25 * float(np.nanmax(nuclei.curve))
    glow = np.random.default_rng(1).normal(10, 5, 50_000).clip(0)
    return Histogram.of(np.concatenate([nuclei.curve.ravel(), glow]), None, 0.0, high, 4096)


def threshold(method: str, nuclei: Nuclei) -> Threshold:
    return find_threshold(parse_method(method), histogram_of(nuclei), nuclei)


def recovered(found: Threshold, nuclei: Nuclei, truth: NDArray[np.bool_]) -> float:
    positive = overlap(nuclei.curve, found.surface.at(nuclei.xy_um)) > 0.15
    return float((positive == truth).mean())


@pytest.mark.parametrize("method", ["auto", "otsu", "gmm", "local", "local:300", "li"])
def test_stained_and_unstained_nuclei_are_told_apart(method: str) -> None:
    nuclei = population()
    found = threshold(method, nuclei)
    truth = nuclei.curve[:, 10] > 150
    assert recovered(found, nuclei, truth) > 0.98
    assert found.contrast > MIN_CONTRAST
    assert found.bimodality > 5 / 9
    assert found.separation > 2


def test_methods_that_only_look_at_the_pixels() -> None:
    nuclei = population()
    pixels = histogram_of(nuclei)
    for method, expected in (
        ("fixed:123.5", 123.5),
        ("otsu", otsu_threshold(pixels)),
        ("mad:5", mad_threshold(pixels, 5.0)),
    ):
        found = threshold(method, nuclei)
        assert found.overall == pytest.approx(expected)
        assert found.method == method
        assert found.surface.grid.tolist() == [[np.float32(expected)]]


def test_rare_positives_are_found_by_auto() -> None:
    nuclei = population(positive=0.01, count=4000)
    found = threshold("auto", nuclei)
    assert recovered(found, nuclei, nuclei.curve[:, 10] > 150) > 0.995


def test_one_population_of_nuclei() -> None:
    nuclei = population(positive=0.0)
    found = threshold("auto", nuclei)
    assert found.method == "otsu"
    assert found.separation == 0
    with pytest.raises(RegdataError, match="one population") as error:
        threshold("gmm", nuclei)
    assert "\n" not in error.value.message


def test_a_stain_that_drifts_over_the_slide() -> None:
    nuclei = population(positive=0.4, count=4000)
    drift = np.exp(np.log(10) * nuclei.xy_um[:, :1] / SIDE_UM)
    truth = nuclei.curve[:, 10] > 150
    drifting = replace(nuclei, curve=(nuclei.curve * drift).astype(np.float32))
    local, constant = threshold("auto", drifting), threshold("otsu", drifting)
    assert local.method.startswith("local:200 around gmm")
    assert local.surface.grid.shape == (10, 10)
    assert local.surface.grid[:, -1].mean() > 2 * local.surface.grid[:, 0].mean()
    assert recovered(local, drifting, truth) > 0.98 > recovered(constant, drifting, truth)


def test_auto_stays_constant_where_few_tiles_show_stained_nuclei() -> None:
    nuclei = population(positive=0.0)
    here = (nuclei.xy_um < 400).all(1)
    nuclei.curve[here] *= 30
    found = threshold("auto", nuclei)
    assert found.surface.grid.shape == (1, 1)
    local = threshold("local", nuclei)
    assert 0 < evident_share(nuclei, local.surface) < module.EVIDENT


def test_nuclei_without_a_compartment_are_left_out() -> None:
    nuclei = population()
    without = replace(nuclei, curve=nuclei.curve.copy())
    without.curve[::7] = np.nan
    for method in ("auto", "gmm", "local"):
        some, all_ = threshold(method, without), threshold(method, nuclei)
        assert some.overall == pytest.approx(all_.overall, rel=0.05)
        assert np.isfinite(some.surface.grid).all()


@pytest.mark.parametrize("count", [0, 1, 19])
def test_few_nuclei(count: int) -> None:
    many = population()
    few = Nuclei(many.xy_um[:count], many.area[:count], many.curve[:count], many.size_um)
    for method in ("auto", "local", "otsu"):
        found = find_threshold(parse_method(method), histogram_of(many), few)
        assert found.overall == stained_from(histogram_of(many))[0]
        assert np.isfinite(found.surface.grid).all()


def test_the_scale_of_the_intensities_does_not_matter() -> None:
    nuclei = population()
    brighter = replace(nuclei, curve=nuclei.curve * np.float32(37))
    for method in ("auto", "gmm", "otsu", "local"):
        one, other = (
            threshold(method, nuclei),
            find_threshold(parse_method(method), _scaled(histogram_of(nuclei), 37), brighter),
        )
        assert other.overall == pytest.approx(37 * one.overall, rel=1e-3)
        np.testing.assert_allclose(other.surface.grid, 37 * one.surface.grid, rtol=1e-2)


def _scaled(pixels: Histogram, factor: float) -> Histogram:
    return Histogram(pixels.counts, pixels.low * factor, pixels.high * factor)


def test_what_a_file_keeps() -> None:
    kept: dict[str, Any] = threshold("local:500", population()).describe()
    assert kept["method"].startswith("local:500 around")
    assert kept["grid"].shape == kept["grid_weight"].shape == (4, 4)
    assert kept["tile_um"] == 500
    assert {"value", "contrast", "bimodality", "separation"} <= set(kept)
