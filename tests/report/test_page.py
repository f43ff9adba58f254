import tomllib
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from pages import HOSTILE, Page

from regdata.report import page
from regdata.report.numbers import interval, number
from regdata.report.page import Figure, Legend, render
from regdata.report.tables import text_table

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "regdata/report/templates"


def part(call: str, **values: object) -> Page:
    """What one of the macros makes of values."""
    source = "{% import 'parts.html' as parts %}{{ parts." + call + " }}"
    return Page(page._templates().from_string(source).render(values))


def test_every_template_is_packaged_and_can_be_read() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = tool["package-data"]["regdata.report"]
    packaged = {
        path.name for pattern in patterns for path in (ROOT / "regdata/report").glob(pattern)
    }
    names = {path.name for path in TEMPLATES.iterdir()}
    assert packaged == names == set(page._templates().list_templates())
    assert names > {"page.html", "parts.html", "build.html", "evaluation.html", "style.css"}
    for name in names:
        page._templates().get_template(name)


def test_values_are_text_and_no_templates() -> None:
    made = Page(render("page.html", title=HOSTILE))
    assert made.text.count(HOSTILE) == 2
    assert made.tags.count("style") == 1


def test_what_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("page.html")


@pytest.mark.parametrize(
    "call",
    [
        "box('warn', name, [name])",
        "doubts([name], 'labels')",
        "facts([{'number': name, 'name': name, 'colour': none}])",
        "rows([(name, name)])",
        "columns([name, name], [(name, 'x')])",
        "crops({'title': name, 'total': 3, 'crops': []})",
        "details(name, name)",
    ],
)
def test_names_are_text_in_every_part(call: str) -> None:
    assert HOSTILE in part(call, name=HOSTILE).text


def test_a_picture_is_inlined_and_its_name_is_text() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    legend = Legend(np.zeros((256, 3), np.uint8), HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    made = part("figure(one)", one=Figure(HOSTILE, image, legend=legend))
    assert made.of("alt") == [HOSTILE]
    assert made.text.count(HOSTILE) == 5
    assert len(made.refers) == 1


def test_columns_of_numbers_end_at_the_right() -> None:
    made = part("columns(['a', 'b', 'c'], [('x', 'y', '1')], names=2)")
    assert made.of("class") == ["scroll", "", "n", "n"]


def test_tables_are_aligned() -> None:
    rows = [("name", "n", "kind"), ("a", "1", "long kind"), ("b b", "1,000", "-")]
    assert text_table(rows, left=(0, 2)).splitlines() == [
        "name      n  kind",
        "a         1  long kind",
        "b b   1,000  -",
    ]
    with pytest.raises(ValueError, match="zip"):
        text_table([("a", "b"), ("c",)])


def test_what_is_undefined_is_a_dash() -> None:
    assert [number(value) for value in (None, float("nan"), float("inf"), 0.0)] == [
        *"---",
        "0.000",
    ]
    assert interval((0.1, None)) == interval(None) == "-"
    assert interval((-0.1, 0.25), "+.2f", " - ") == "-0.10 - +0.25"
