import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from regdata.labelling.chart import histogram_svg, write_histogram
from regdata.labelling.histogram import Histogram

STAINED, PLAIN = "#d1495b", "#8d99ae"


def bars(svg: str) -> list[ET.Element]:
    """The bars, without the white ground."""
    rects = ET.fromstring(svg).findall("{http://www.w3.org/2000/svg}rect")
    return [rect for rect in rects if rect.get("fill") in (STAINED, PLAIN)]


def two() -> Histogram:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(20, 5, 5000).clip(0), rng.normal(120, 10, 500)])
    return Histogram.of(values, None, 0.0, 400.0, 4096)


def test_bars_are_the_counts_on_a_log_scale() -> None:
    found = bars(histogram_svg(two(), 70.0, "CD3"))
    left = np.array([float(bar.get("x") or 0) for bar in found])
    tall = np.array([float(bar.get("height") or 0) for bar in found])
    assert (np.diff(left) > 0).all()
    assert tall.max() == pytest.approx(140, abs=0.1)
    high = max(
        1.3 * 70, float(np.quantile(np.repeat(two().centres, two().counts.astype(int)), 0.9999))
    )
    edges = np.linspace(0, high, len(found) + 1)
    counts = np.histogram(np.repeat(two().centres, two().counts.astype(int)), edges)[0]
    expected = np.log10(1 + counts) / np.log10(1 + counts).max() * 140
    assert np.corrcoef(tall, expected)[0, 1] > 0.99


def test_stained_bars_lie_right_of_the_line() -> None:
    svg = histogram_svg(two(), 70.0, "CD3")
    line = float(re.findall(r'<line x1="([\d.]+)" y1="28"', svg)[0])
    for bar in bars(svg):
        middle = float(bar.get("x") or 0) + float(bar.get("width") or 0) / 2
        assert (bar.get("fill") == STAINED) == (middle > line)
    assert {bar.get("fill") for bar in bars(svg)} == {STAINED, PLAIN}
    assert "threshold 70" in svg


@pytest.mark.parametrize("threshold", [-50.0, 0.0, 70.0, 399.0, 1e5])
def test_the_line_stays_in_the_picture(threshold: float) -> None:
    svg = histogram_svg(two(), threshold, "CD3")
    (line,) = re.findall(r'<line x1="([-\d.]+)" y1="28"', svg)
    assert 46 <= float(line) <= 510


def test_names_are_escaped() -> None:
    svg = histogram_svg(two(), 70.0, 'PD-1 <x> & "y"')
    assert 'PD-1 <x> & "y"' in "".join(ET.fromstring(svg).itertext())


def test_an_empty_histogram_is_a_picture_too() -> None:
    found = bars(histogram_svg(Histogram(np.zeros(64), 0.0, 10.0), 3.0, "none"))
    assert {float(bar.get("height") or 0) for bar in found} == {0}


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "qc" / "x.svg"
    write_histogram(path, two(), 70.0, "µ")
    assert path.read_text(encoding="utf-8") == histogram_svg(two(), 70.0, "µ")
    assert [file.name for file in path.parent.iterdir()] == ["x.svg"]
