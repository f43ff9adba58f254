"""What `regdata build` hands to the chain."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regdata.chain.mask_options import MaskOptions, SegPathOptions
from regdata.chain.options import BuildOptions
from regdata.chain.pipeline import BuildSummary
from regdata.commands.cli import main

NUCLEI = ("--tissue", "all", "--region", "1,2,3,4", "--skip-bad-tiles")
RESOURCES = ("--workers", "5", "--batch-size", "3")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked for; nothing is built."""
    given: list[Any] = []

    def build(options: Any) -> BuildSummary:
        given.append(options)
        return BuildSummary(options.output, {"negative": 1, "unknown": 0}, ("cells",), ("careful",))

    monkeypatch.setattr("regdata.chain.build", build)
    return given


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["build", "-o", "x.h5", *words])


@pytest.mark.parametrize(
    ("source", "kind"), [("--if", BuildOptions), ("--masks", MaskOptions)], ids=["if", "masks"]
)
def test_nuclei_are_looked_for_as_segment_does(asked: list[Any], source: str, kind: type) -> None:
    result = run("--he", "a", source, "b", "--marker", "CD3", *NUCLEI, *RESOURCES)
    assert result.exit_code == 0, result.output
    (options,) = asked
    assert isinstance(options, kind)
    found = (options.tissue, options.region, options.skip_bad_tiles)
    assert found == ("all", "1,2,3,4", True)
    assert (options.workers, options.batch_size) == (5, 3)
    assert result.stderr == "Warning: careful\n"
    assert result.stdout == "x.h5: 1 negative, 0 unknown (kept: cells)\n"


def test_segment_has_the_same_options() -> None:
    help_of = [CliRunner().invoke(main, [name, "--help"]).output for name in ("build", "segment")]
    for option in (*("--tissue", "--region", "--skip-bad-tiles"), *RESOURCES[::2]):
        assert all(option in text for text in help_of)


def test_usual_options_are_the_models(asked: list[Any]) -> None:
    run("--he", "a", "--if", "b", "--marker", "CD3")
    paths = {"he": "a", "if_": "b", "output": "x.h5", "markers": ("CD3",)}
    assert asked == [BuildOptions.model_validate(paths)]


def test_a_set_of_images_has_no_region(asked: list[Any]) -> None:
    assert run("--segpath", "s", *RESOURCES).exit_code == 0
    assert asked == [
        SegPathOptions(segpath=Path("s"), output=Path("x.h5"), workers=5, batch_size=3)
    ]
    for words in (("--tissue", "all"), ("--region", "1,2,3,4"), ("--skip-bad-tiles",)):
        result = run("--segpath", "s", *words)
        assert result.exit_code == 2
        assert f"{words[0]} does not go with --segpath" in result.output
