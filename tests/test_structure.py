"""The architecture holds: who imports whom, and which folders are packages."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("registration", "labelling", "train", "eval")
SEE_ALL = {
    "regdata/build_masks.py",
    "regdata/build_output.py",
    "regdata/build_segpath.py",
    "regdata/label_stage.py",
    "regdata/labelled.py",
    "regdata/measuring.py",
    "regdata/pipeline.py",
    "regdata/cli.py",
    "regdata/cli_eval.py",
    "regdata/cli_evaluate.py",
    "regdata/cli_register.py",
    "regdata/cli_train_segmentation.py",
    "regdata/cli_validate.py",
    "regdata/label_images.py",
    "regdata/registering.py",
    "regdata/relabel.py",
    "regdata/report.py",
    "regdata/validate.py",
    "regdata/validation_legacy.py",
    "regdata/watch.py",
}
MAX_MODULE, MAX_FUNCTION = 300, 60


def sources() -> list[Path]:
    folders = [ROOT / name for name in ("regdata", *STAGES)]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_from_stages_to_core(path: Path) -> None:
    here = path.relative_to(ROOT)
    if str(here) in SEE_ALL:
        return
    own = here.parts[0] if here.parts[0] in STAGES else None
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "regdata" and len(parts) > 1 and parts[1] in STAGES:
            assert parts[1] == own, f"{here} imports {name}"
        if own:
            assert name not in ("regdata.pipeline", "regdata.cli"), f"{here} imports {name}"


def test_the_rule_would_notice_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "x.py"
    wrong.write_text("from regdata.train.fit import fit\n")
    assert list(imported(wrong)) == ["regdata.train.fit"]


def test_packages_and_folders_are_in_step() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    on_disk = set()
    for folder in ("regdata", *STAGES):
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            on_disk.add(".".join(parts if parts[0] == "regdata" else ("regdata", *parts)))
    assert set(tool["packages"]) == on_disk


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert (node.end_lineno or 0) - (start or 0) <= MAX_FUNCTION, node.name
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"print in line {node.lineno}"


def test_import_is_light() -> None:
    heavy = ("torch", "timm", "SimpleITK", "anndata", "cv2", "numba", "matplotlib")
    code = f"import sys, regdata, regdata.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names_load() -> None:
    regdata = importlib.import_module("regdata")
    for name in regdata.__all__:
        assert getattr(regdata, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = regdata.nonsense
