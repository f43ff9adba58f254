from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from regdata.chain.labelled import check_options, class_rules
from regdata.chain.options import BuildOptions, LabelOptions, parse_classes, parse_per_marker
from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.labelling.rules.overlap_rule import AMBIGUOUS, OVERLAP, LabelRule

MARKERS = ("CD3", "CD20")


def options(**changes: object) -> BuildOptions:
    asked = {"he": "a", "if_": "b", "output": "out/x.h5", "markers": MARKERS, **changes}
    return BuildOptions.model_validate(asked)


def rules(asked: LabelOptions, markers: tuple[str, ...] = MARKERS) -> dict[str, str]:
    return {name: str(rule) for name, rule in class_rules(asked, markers).items()}


def test_each_marker_is_a_class_unless_told() -> None:
    assert rules(options()) == {"CD3": "CD3", "CD20": "CD20"}
    assert rules(options(classes={"T": "CD3 & ~CD20"})) == {"T": "CD3 & ~CD20"}


def test_a_class_may_name_the_markers_any_of_which_makes_it() -> None:
    asked = options(classes={"lymphocyte": ("CD3", "CD20")})
    assert rules(asked) == {"lymphocyte": "CD3 | CD20"}
    odd = options(classes={"x": ("PD-1 (dim)", "1", "a_b")})
    assert rules(odd, ("PD-1 (dim)", "1", "a_b")) == {"x": '"PD-1 (dim)" | 1 | a_b'}


def test_run_directory_lies_beside_the_output() -> None:
    assert options().run_directory == Path("out/x.run")


def test_options_survive_the_file() -> None:
    asked = options(
        overlap=0.3,
        patient="Ann",
        classes={"T": ("CD3",)},
        thresholds={"CD3": "fixed:12"},
        compartments={"CD20": "ring"},
    )
    assert BuildOptions.model_validate_json(asked.model_dump_json()) == asked


@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"ambiguous": -0.1},
        {"certain": 0.4},
        {"certain": 1.0},
        {"erode": -1},
        {"min_size_um2": -1},
        {"ring_um": 0},
        {"he_mpp": 0},
        {"field_um": 0},
        {"markers": ()},
        {"unheard_of": 1},
    ],
)
def test_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        options(**wrong)


def test_the_ambiguous_band_lies_below_the_overlap() -> None:
    assert options().rule.ambiguous == 0.05
    assert options(overlap=0.02).rule.ambiguous == 0.02  # the default gives way
    assert options(overlap=0.5, ambiguous=0.3).rule.ambiguous == 0.3
    assert options(overlap=0.0).rule.ambiguous == 0.0
    with pytest.raises(RegdataError, match=r"at 0\.2, above the overlap of 0\.15"):
        options(ambiguous=0.2)


def test_compartments_are_two() -> None:
    assert options(compartments={"CD3": "ring"}).compartments == {"CD3": "ring"}
    with pytest.raises(RegdataError, match="CD3=membrane`: expected nucleus or ring"):
        options(compartments={"CD3": "membrane"})


@pytest.mark.parametrize(
    ("shape", "shaped"),
    [({}, False), ({"erode": 1}, True), ({"min_size_um2": 5}, True), ({"legacy_overlap": 1}, True)],
)
def test_masks_that_are_more_than_a_threshold(shape: dict[str, object], shaped: bool) -> None:
    assert options(**shape).shapes_masks is shaped


def test_class_definitions() -> None:
    assert parse_classes(["a = x|y", "b=~z"]) == {"a": "x|y", "b": "~z"}
    for wrong in (["a"], ["a="], ["=x"], ["a=x", "a=y"], ["unknown=x"], ["negative=x"]):
        with pytest.raises(RegdataError):
            parse_classes(wrong)


def test_values_for_some_markers_or_all() -> None:
    assert parse_per_marker([], MARKERS, "thresholds") == {}
    assert parse_per_marker(["otsu"], MARKERS, "thresholds") == {"CD3": "otsu", "CD20": "otsu"}
    some = ["CD20 = fixed:5", "mad:4"]
    assert parse_per_marker(some, MARKERS, "thresholds") == {"CD3": "mad:4", "CD20": "fixed:5"}
    assert parse_per_marker(["CD20=ring"], MARKERS, "compartments") == {"CD20": "ring"}
    with pytest.raises(
        RegdataError, match=r"`thresholds=CD8=otsu`: CD8 is none of the markers .*CD3, CD20"
    ):
        parse_per_marker(["CD8=otsu"], MARKERS, "thresholds")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": {"T": "CD8"}}, "CD8"),
        ({"classes": {"T": "CD3 &"}}, "T"),
        ({"classes": {"A": "B", "B": "~A"}}, "A"),
        ({"thresholds": {"CD8": "otsu"}}, r"`thresholds=CD8`: no such marker .*CD3, CD20"),
        ({"thresholds": {"CD3": "fixed"}}, "fixed needs an intensity"),
        ({"compartments": {"CD8": "ring"}}, "`compartments=CD8`: no such marker"),
    ],
)
def test_what_is_refused_before_any_work(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RegdataError, match=message) as error:
        check_options(options(**wrong), MARKERS)
    assert "\n" not in error.value.message


def test_names_that_a_file_cannot_hold() -> None:
    check_options(options(markers=("PD-1 <x>",)), ("PD-1 <x>",))
    with pytest.raises(RegdataError, match=r"PD-1/PD-L1: a name with a slash .* `channel_names=`"):
        check_options(options(markers=("PD-1/PD-L1",)), ("PD-1/PD-L1",))


def test_the_help_tells_the_defaults() -> None:
    text = CliRunner().invoke(main, ["build", "--help"]).output
    assert f"Positive above this share; {OVERLAP:g} by default" in text
    assert f"Negative up to this share; {AMBIGUOUS:g} by default" in text
    defaults = LabelOptions()
    assert (defaults.overlap, defaults.rule) == (OVERLAP, LabelRule())
