from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation
from skimage.filters import threshold_li, threshold_otsu, threshold_triangle

from regdata.errors import RegdataError
from regdata.labelling.thresholds.histogram import Histogram
from regdata.labelling.thresholds.methods import (
    METHODS,
    Method,
    bimodality,
    contrast,
    li_threshold,
    mad_threshold,
    otsu_threshold,
    parse_method,
    triangle_threshold,
)

Values = NDArray[np.float64]


def pixels(kind: str, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 6, 40000)
    stained = {
        "half": rng.normal(120, 20, 30000),
        "rare": rng.normal(150, 15, 400),
        "lognormal": 80 * np.exp(rng.normal(0, 0.5, 4000)),
        "near": rng.normal(40, 10, 10000),
        "none": np.zeros(0),
    }[kind]
    return np.concatenate([noise, stained])


KINDS = ("half", "rare", "lognormal", "near", "none")
PARITY: list[tuple[Callable[[Histogram], float], Callable[[Values], float]]] = [
    (otsu_threshold, lambda x: threshold_otsu(x, nbins=1024)),
    (li_threshold, threshold_li),
    (triangle_threshold, lambda x: threshold_triangle(x, nbins=1024)),
    (
        lambda h: mad_threshold(h, 3),
        lambda x: np.median(x) + 3 * median_abs_deviation(x, scale="normal"),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PARITY, ids=("otsu", "li", "triangle", "mad"))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_histogram_is_as_good_as_the_pixels(
    ours: Callable[[Histogram], float], theirs: Callable[[Values], float], kind: str, seed: int
) -> None:
    x = pixels(kind, seed)
    h = Histogram.of(x, None, x.min(), x.max(), 1024)
    low, high = sorted((ours(h), theirs(x)))
    # between two classes with nothing between them every place is as good
    assert high - low < 2.01 * h.width or not ((x > low + h.width) & (x < high - h.width)).any()


@pytest.mark.parametrize("find", [otsu_threshold, li_threshold, triangle_threshold, mad_threshold])
def test_thresholds_follow_the_units(find: Callable[[Histogram], float]) -> None:
    h = Histogram.of(pixels("near", 0), None, -30, 90, 512)
    moved = Histogram(1e-9 * h.counts, 100 + 5 * h.low, 100 + 5 * h.high)
    assert find(moved) == pytest.approx(100 + 5 * find(h))


@pytest.mark.parametrize("find", [otsu_threshold, li_threshold, triangle_threshold])
@pytest.mark.parametrize("values", [[], [3.0, 3.0]], ids=("empty", "constant"))
def test_nothing_stands_above_a_single_bin(
    find: Callable[[Histogram], float], values: list[float]
) -> None:
    assert find(Histogram.of(values, None, 0, 8, 16)) == 8


def test_the_triangle_of_a_lower_tail() -> None:
    x = -pixels("rare", 0)
    h = Histogram.of(x, None, x.min(), x.max(), 256)
    theirs = threshold_triangle(x, nbins=256)
    assert theirs < 0
    assert triangle_threshold(h) == pytest.approx(theirs, abs=2 * h.width)


def test_mad_is_not_moved_by_stained_pixels() -> None:
    def found(kind: str) -> float:
        return mad_threshold(Histogram.of(pixels(kind, 1), None, -50, 500, 4096), 4)

    assert found("none") == pytest.approx(4 * 6, rel=0.03)
    assert found("rare") == pytest.approx(found("none"), rel=0.05)


def test_contrast_and_bimodality_tell_one_population_from_two() -> None:
    for kind, low, high in (("none", 2.4, 2.9), ("half", 10, 30), ("rare", 15, 30)):
        h = Histogram.of(pixels(kind, 2), None, -50, 400, 2048)
        assert low < contrast(h, 60 if kind == "rare" else otsu_threshold(h)) < high
        assert (bimodality(h) > 5 / 9) == (kind != "none")
    x = np.random.default_rng(0).normal(0, 1, 100000)
    assert bimodality(Histogram.of(x, None, -5, 5, 200)) == pytest.approx(1 / 3, abs=0.01)
    assert bimodality(Histogram.of([1.0, 9.0, 9.0], None, 0, 10, 10)) == pytest.approx(1)
    flat = Histogram.of([1.0, 9.0], None, 0, 10, 10)
    assert contrast(flat, 5) == pytest.approx(80)  # a tenth of a bin stands in for no spread
    one = Histogram.of([1.0], None, 0, 10, 10)
    assert (bimodality(one), contrast(one, 5), contrast(one, 0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "method", "again"),
    [
        ("auto", Method("auto"), "auto"),
        (" Otsu ", Method("otsu"), "otsu"),
        ("fixed:120", Method("fixed", 120), "fixed:120"),
        ("fixed: -0.5", Method("fixed", -0.5), "fixed:-0.5"),
        ("mad", Method("mad", 4), "mad:4"),
        ("mad:3", Method("mad", 3), "mad:3"),
        ("gmm", Method("gmm", 2), "gmm:2"),
        ("gmm:3", Method("gmm", 3), "gmm:3"),
        ("local", Method("local", 200), "local:200"),
        ("local:150", Method("local", 150), "local:150"),
    ],
)
def test_methods_are_read_and_written(text: str, method: Method, again: str) -> None:
    assert parse_method(text) == method
    assert str(method) == again
    assert parse_method(again) == method


def test_every_value_is_written_in_full() -> None:
    for value in (0.1, 1 / 3, 1e-9, 12345678.9):
        assert parse_method(str(Method("fixed", value))).value == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("otsus", r"no threshold method 'otsus', did you mean otsu\? there are auto, fixed"),
        ("", "no threshold method ''; there are"),
        ("fixed", "fixed needs an intensity, as in fixed:120; got nothing"),
        ("fixed:bright", "fixed needs an intensity.*got bright"),
        ("fixed:nan", "got nan"),
        ("li:3", "li takes no value, not '3'"),
        ("gmm:4", "gmm needs 2 or 3 components"),
        ("mad:", "mad needs a number above 0.*got nothing"),
        ("local:0", "local needs the side of a tile"),
    ],
)
def test_what_is_no_method(text: str, message: str) -> None:
    with pytest.raises(RegdataError, match=message):
        parse_method(text)


def test_the_message_lists_every_method() -> None:
    with pytest.raises(RegdataError) as caught:
        parse_method("nonsense")
    assert all(name in caught.value.message for name in METHODS)
