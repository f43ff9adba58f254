"""One default for what pairs nuclei, wherever it is asked for."""

import ast
from dataclasses import fields
from pathlib import Path

import click
import pytest

from regdata.cells.match_radius import MATCH_RADIUS_UM
from regdata.commands.cli import main
from regdata.eval.conventions.instance_images import InstanceOptions
from regdata.eval.conventions.presets import POINTS
from regdata.eval.metrics.detection import Conventions
from regdata.eval.segmentation import SegmentationSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["evaluate", "evaluate-segmentation", "agree", "validate"])
def test_commands_have_the_same_radius(name: str) -> None:
    options = {option for p in main.commands[name].params for option in p.opts}
    assert "--radius-um" in options
    (radius,) = (p for p in main.commands[name].params if "--radius-um" in p.opts)
    assert isinstance(radius, click.Option)
    assert radius.default == MATCH_RADIUS_UM


@pytest.mark.parametrize("settings", [Conventions, InstanceOptions, SegmentationSettings])
def test_settings_have_the_same_radius(settings: type) -> None:
    assert {f.name: f.default for f in fields(settings)}["radius_um"] == MATCH_RADIUS_UM


def test_the_default_preset_has_it_too() -> None:
    assert (POINTS["regdata"].radius, POINTS["regdata"].unit) == (MATCH_RADIUS_UM, "um")


def test_no_default_is_a_number_of_its_own() -> None:
    """Every `radius_um` of a function or dataclass with a default names the constant."""
    own, named = [], 0
    for folder in ("regdata", "eval", "train", "labelling"):
        for path in (ROOT / folder).rglob("*.py"):
            for name, default in defaults(ast.parse(path.read_text())):
                if name != "radius_um":
                    continue
                if isinstance(default, ast.Name) and default.id == "MATCH_RADIUS_UM":
                    named += 1
                elif not (isinstance(default, ast.Constant) and default.value is None):
                    own.append(str(path))
    assert own == []
    assert named >= 5


def defaults(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    """Names of parameters and fields, and their defaults."""
    pairs = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            given = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            pairs += [(a.arg, d) for a, d in zip(given, node.args.defaults, strict=True)]
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            pairs.append((node.target.id, node.value))
    return pairs
