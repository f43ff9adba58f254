from pathlib import Path

import pytest
from pydantic import ValidationError

from regdata.errors import RegdataError
from regdata.options import BuildOptions, parse_classes


def options(**changes: object) -> BuildOptions:
    asked = {"he": "a", "if_": "b", "output": "out/x.h5", "markers": ("CD3", "CD20"), **changes}
    return BuildOptions.model_validate(asked)


def test_each_marker_is_a_class_unless_told() -> None:
    assert options().rules == {"CD3": ("CD3",), "CD20": ("CD20",)}
    rules = {"lymphocyte": ("CD3", "CD20")}
    assert options(classes=rules).rules == rules


def test_run_directory_lies_beside_the_output() -> None:
    assert options().run_directory == Path("out/x.run")


def test_options_survive_the_file() -> None:
    asked = options(overlap=0.3, patient="Ann", classes={"T": ("CD3",)})
    assert BuildOptions.model_validate_json(asked.model_dump_json()) == asked


@pytest.mark.parametrize(
    "wrong",
    [{"overlap": 1.0}, {"overlap": -0.1}, {"he_mpp": 0}, {"markers": ()}, {"unheard_of": 1}],
)
def test_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        options(**wrong)


def test_class_definitions() -> None:
    assert parse_classes(["a=x, y", "b=z"]) == {"a": ("x", "y"), "b": ("z",)}
    for wrong in (["a"], ["a="], ["=x"], ["a=x", "a=y"], ["unknown=x"]):
        with pytest.raises(RegdataError):
            parse_classes(wrong)
    with pytest.raises(RegdataError, match="CD8, which is no --marker"):
        options(classes={"T": ("CD8",)})
