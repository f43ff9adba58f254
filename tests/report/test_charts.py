import re
from xml.etree import ElementTree

import numpy as np
import pytest

from regdata.report.charts import (
    Axis,
    Bars,
    Chart,
    Mark,
    Series,
    histogram,
    intensities,
    thinned,
    ticks,
)
from regdata.report.numbers import short

SVG = "{http://www.w3.org/2000/svg}"


def drawn(counts: list[float], **more: object) -> ElementTree.Element:
    bars = Bars(np.array(counts, float), 0.0, 100.0, ["#123456"] * len(counts))
    return ElementTree.fromstring(histogram(bars, "x <axis>", "y & axis", **more))  # type: ignore[arg-type]


def bars_of(chart: ElementTree.Element) -> list[tuple[float, float]]:
    rects = [r for r in chart.iter(f"{SVG}rect") if r.get("fill") == "#123456"]
    return [(float(r.get("x", 0)), float(r.get("height", 0))) for r in rects]


def test_bars_are_logarithmic_and_none_stands_for_none() -> None:
    found = bars_of(drawn([9, 0, 99, 999]))
    heights = [height for _, height in found]
    assert len(found) == 3
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert heights[2] == pytest.approx(3 * heights[0], abs=0.2)
    assert found[1][0] - found[0][0] == pytest.approx(2 * (found[2][0] - found[1][0]), abs=0.2)


def test_marks_and_bands_lie_where_their_values_are() -> None:
    chart = drawn([1] * 4, marks=[Mark(25.0, "cut & <off>")], band=(50.0, 75.0))
    edges = [x for x, _ in bars_of(chart)]
    dashed = [line for line in chart.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert float(dashed[0].get("x1", 0)) == pytest.approx(edges[1], abs=0.1)
    band = next(r for r in chart.iter(f"{SVG}rect") if r.get("fill-opacity"))
    assert float(band.get("x", 0)) == pytest.approx(edges[2], abs=0.1)
    assert float(band.get("width", 0)) == pytest.approx(edges[3] - edges[2], abs=0.1)
    texts = {text.text for text in chart.iter(f"{SVG}text")}
    assert {"cut & <off>", "x <axis>", "y & axis"} <= texts


@pytest.mark.parametrize("at", [-5.0, 0.0, 49.0, 51.0, 100.0, 1e6])
def test_a_mark_and_its_name_stay_in_the_picture(at: float) -> None:
    chart = drawn([1, 2], marks=[Mark(at, "threshold 12345")])
    width = float(chart.get("viewBox", "").split()[2])
    text = next(t for t in chart.iter(f"{SVG}text") if t.text == "threshold 12345")
    x, letters = float(text.get("x", 0)), 15 * 7.5
    low, high = (x - letters, x) if text.get("text-anchor") == "end" else (x, x + letters)
    assert 0 <= low < high <= width


@pytest.mark.parametrize("counts", [[0.0, 0.0], [1.0], [1e12, 1]])
def test_any_counts_make_a_chart(counts: list[float]) -> None:
    assert all(0 <= height <= 180 for _, height in bars_of(drawn(counts)))


@pytest.mark.parametrize("high", [1e-4, 0.3, 1.0, 7.0, 255.0, 18_388.0, 65_535.0, 1e9])
def test_ticks_are_few_round_and_inside(high: float) -> None:
    found = ticks(0, high)
    assert 3 <= len(found) <= 6
    assert found[0] == 0
    assert not str(found[0]).startswith("-")
    assert found[-1] <= high * (1 + 1e-9)
    assert len({short(value) for value in found}) == len(found)
    assert all(re.fullmatch(r"[125]0*", f"{found[1]:.0e}"[0]) for _ in found)


def test_the_end_of_the_ticks_is_no_text_beyond_the_picture() -> None:
    chart = drawn([1.0])
    places = [float(t.get("x", 0)) for t in chart.iter(f"{SVG}text")]
    assert max(places) <= 345


def test_intensities_are_drawn_without_combs_and_the_threshold_is_in_view() -> None:
    rng = np.random.default_rng(0)
    counts, _ = np.histogram(rng.normal(0, 20, 200_000), 4096, (-120, 130))
    svg = intensities(counts.astype(float), (-120.0, 130.0), np.array([95.0]))
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill="#8d99ae"', svg)]
    inside = np.array(heights)[40:-40] if len(heights) > 90 else np.array(heights)[10:40]
    assert np.abs(np.diff(inside)).max() < 12  # no gaps between bars that hold thousands
    assert "threshold 95" in svg


def test_points_lie_where_they_belong() -> None:
    ends = np.array([0.0, 1.0])
    axes = Axis.linear("a<b"), Axis.linear("y")
    series = [
        Series("s", "#123456", ends, ends),
        Series("<d>", "#654321", ends, ends, dots=True, titles=["first", "x & y"]),
    ]
    text = Chart(x=axes[0], y=axes[1], series=series, diagonal=True).svg()
    svg = ElementTree.fromstring(text.split("<div")[0])
    frame = Chart(x=axes[0], y=axes[1])
    line = next(svg.iter(f"{SVG}polyline")).get("points", "")
    corners = f"{frame.left}.0,{frame.base}.0 {frame.right}.0,{frame.top}.0"
    assert line == corners
    dots = [(c.get("cx"), c.get("cy")) for c in svg.iter(f"{SVG}circle")]
    assert " ".join(",".join(map(str, dot)) for dot in dots) == corners
    assert {title.text for title in svg.iter(f"{SVG}title")} == {"a<b, y", "first", "x & y"}
    assert "&lt;d&gt;" in text


def test_a_line_is_thinned_and_dots_are_not() -> None:
    many = np.linspace(0, 1, 1000)
    assert thinned(np.arange(1000.0)).tolist()[::199] == [0, 999]
    assert len(Series("s", "#123456", many, many).points) == 200
    assert len(Series("s", "#123456", many, many, dots=True).points) == 1000
