"""The architecture holds: who imports whom, what folders offer, and which are packages."""

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
FLOORS = (
    "errors names arrays paths version",
    "files",
    "cells",
    "slides",
    "transforms annotated cellvit labelling simulate",
    "report train",
    "registration eval exports",
    "segmenting",
    "chain",
    "studies",
    "public",
    "commands",
    "__main__",
)
"""Folders of `regdata`, lowest first; each may import those of lower floors alone."""
INSIDE = {
    "cellvit": ("networks maps", "tiles", "published"),
    "labelling": ("channels measuring", "thresholds", "rules"),
    "registration": ("pose", "bend", "backends quality", "."),
    "train": ("tokens segmentation",),
    "eval": ("metrics", "conventions", ".", "pages"),
}
"""The same for the folders inside a stage; `.` are the stage's own modules."""
MAX_MODULE, MAX_FUNCTION, MAX_MODULES = 300, 60, 24


def sources() -> list[Path]:
    folders = [ROOT / name for name in ("regdata", *STAGES)]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def module_of(path: Path) -> tuple[str, ...]:
    """The dotted name below `regdata`, in parts."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1:] if parts[0] == "regdata" else parts


def imported(path: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Modules of this project that a file imports, in parts below `regdata`, and the names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("regdata"):
            yield tuple((node.module or "").split(".")[1:]), [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "regdata":
                    yield tuple(alias.name.split(".")[1:]), []


def floor(floors: tuple[str, ...], folder: str) -> int:
    return next(k for k, names in enumerate(floors) if folder in names.split())


def room(parts: tuple[str, ...]) -> str:
    """The folder inside a stage that a module lies in."""
    return parts[1] if len(parts) > 1 and is_folder(parts[:2]) else "."


def is_folder(parts: tuple[str, ...]) -> bool:
    return (folder_of(parts) / "__init__.py").exists()


def folder_of(parts: tuple[str, ...]) -> Path:
    return (ROOT if parts[0] in STAGES else ROOT / "regdata").joinpath(*parts)


def wrong(path: Path) -> Iterator[str]:
    """What a file imports against the floors."""
    here = module_of(path)
    for there, _ in imported(path):
        if not there or here[-1] == "__init__":
            continue
        floors, mine, theirs = FLOORS, here[0], there[0]
        if mine == theirs and mine in INSIDE:
            floors, mine, theirs = INSIDE[mine], room(here), room(there)
        if mine != theirs and floor(floors, theirs) >= floor(floors, mine):
            yield f"{'.'.join(here)} imports {'.'.join(there)}, which is not on a lower floor"


def test_imports_point_one_way() -> None:
    assert [line for path in sources() for line in wrong(path)] == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("regdata/slides/x.py", "from regdata.transforms import Transform"),
        ("regdata/annotated/x.py", "from regdata.cellvit.tiles import segment"),
        ("labelling/measuring/x.py", "from regdata.labelling.rules import Rule"),
        ("train/tokens/x.py", "from regdata.train.segmentation import train_segmentation"),
        ("regdata/chain/x.py", "import regdata.commands.cli"),
    ],
)
def test_a_wrong_import_is_noticed(
    place: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    for parts in ("regdata/transforms", "labelling/rules", "train/segmentation", "train/tokens"):
        (tmp_path / parts).mkdir(parents=True, exist_ok=True)
        (tmp_path / parts / "__init__.py").touch()
    (path.parent / "__init__.py").touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert len(list(wrong(path))) == 1


def offered(folder: Path) -> set[str]:
    """The names of a folder's `__all__`."""
    stub = folder / "__init__.pyi"
    tree = ast.parse((stub if stub.exists() else folder / "__init__.py").read_text())
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node, ast.Assign):
            return set(ast.literal_eval(node.value))
    return set()


def test_folders_use_of_each_other_what_they_offer() -> None:
    hidden = []
    for path in sources():
        here = module_of(path)
        for there, names in imported(path):
            folder = there if there and is_folder(there) else there[:-1]
            if not folder or folder == here[:-1]:
                continue
            missing = set(names) - offered(folder_of(folder))
            hidden += [f"{'.'.join(here)}: {'.'.join(there)}.{name}" for name in sorted(missing)]
    assert hidden == []


def folders() -> list[Path]:
    return sorted(p.parent for p in sources() if p.name == "__init__.py")


@pytest.mark.parametrize("folder", folders(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_folder_offers_is_there(folder: Path) -> None:
    parts = folder.relative_to(ROOT).parts
    package = importlib.import_module(
        ".".join(parts if parts[0] == "regdata" else ("regdata", *parts))
    )
    below = {p.stem for p in folder.glob("*.py")} | {p.name for p in folder.iterdir() if p.is_dir()}
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name not in below, f"{name} is a module or folder of {package.__name__} too"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


def test_folders_are_rooms() -> None:
    counts = {f: sum(p.name != "__init__.py" for p in f.glob("*.py")) for f in folders()}
    assert max(counts.values()) <= MAX_MODULES, max(counts, key=lambda f: counts[f])
    filled = sorted(n for n in counts.values() if n)
    assert filled[len(filled) // 2] <= 12


def test_packages_and_folders_are_in_step() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    parts = [f.relative_to(ROOT).parts for f in folders()]
    assert set(tool["packages"]) == {
        ".".join(p if p[0] == "regdata" else ("regdata", *p)) for p in parts
    }


def test_modules_and_functions_stay_small() -> None:
    large = []
    for path in sources():
        text = path.read_text()
        if text.count("\n") > MAX_MODULE:
            large.append(f"{path}: {text.count(chr(10))} lines")
        large += [f"{path}: {fault}" for fault in faults(text)]
    assert large == []


def faults(text: str) -> Iterator[str]:
    """Functions that are too long, assertions and prints."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            if (node.end_lineno or 0) - (start or 0) > MAX_FUNCTION:
                yield f"{node.name} is too long"
        if isinstance(node, ast.Assert):
            yield f"assert in line {node.lineno}"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            yield f"print in line {node.lineno}"


def test_faults_are_noticed() -> None:
    long = "def f():\n" + "    x = 1\n" * (MAX_FUNCTION + 1)
    assert list(faults(long + "assert f\nprint(f)\n")) == [
        "f is too long",
        f"assert in line {MAX_FUNCTION + 3}",
        f"print in line {MAX_FUNCTION + 4}",
    ]


def test_import_is_light() -> None:
    heavy = ("torch", "timm", "SimpleITK", "anndata", "cv2", "numba", "matplotlib")
    code = f"import sys, regdata.commands.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def large(text: str) -> Iterator[str]:
    """Dataclasses of seven fields or more that can be made by position."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ClassDef):
            continue
        fields = sum(isinstance(part, ast.AnnAssign) for part in node.body)
        for mark in map(ast.unparse, node.decorator_list):
            if mark.startswith("dataclass") and fields >= 7 and "kw_only=True" not in mark:
                yield node.name


def test_large_dataclasses_are_made_by_name() -> None:
    assert [f"{path}: {name}" for path in sources() for name in large(path.read_text())] == []
    fields = "".join(f"    a{k}: int\n" for k in range(7))
    assert list(large(f"@dataclass(frozen=True)\nclass Big:\n{fields}")) == ["Big"]
