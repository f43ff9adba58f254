"""What `import regdata` offers, used as a person would, with paths as text."""

import importlib
import inspect
import pydoc
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from simulated import SimulatedPair

import regdata
from regdata.commands import main
from regdata.errors import RegdataError
from regdata.public.judging import RegisterOptions
from regdata.report import write_png

ROOT = Path(__file__).parents[1]
NAMES = {
    "build",
    "segment",
    "register",
    "fit_classifier",
    "evaluate",
    "validate",
    "relabel",
    "export",
    "read_dataset",
    "open_slide",
    "load_model",
    "__version__",
}
COMMANDS = {"fit_classifier": "train"}


def test_the_names_and_nothing_else() -> None:
    assert set(regdata.__all__) == set(dir(regdata)) == NAMES
    assert regdata.__version__ == metadata.version("regdata")
    for name in NAMES - {"__version__"}:
        assert inspect.isfunction(getattr(regdata, name)), name
    from regdata.cellvit import segment

    assert inspect.isfunction(segment)


def test_import_is_light() -> None:
    heavy = ("torch", "anndata", "cv2", "numpy", "pydantic", "click")
    code = f"import sys, regdata; dir(regdata); print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_says_what_there_is() -> None:
    text = pydoc.render_doc(regdata, renderer=pydoc.plaintext)
    for name in NAMES - {"__version__"}:
        assert f"\n    {name}(" in text, name


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_docstrings_say_arguments_and_errors(name: str) -> None:
    function = getattr(regdata, name)
    text = inspect.getdoc(function) or ""
    assert text.splitlines()[0].endswith((".", "it."))
    assert "Raises\n" in text
    assert "str" in str(next(iter(inspect.signature(function).parameters.values())))


@pytest.mark.parametrize(
    "name", ["segment", "register", "fit_classifier", "evaluate", "validate", "export", "relabel"]
)
def test_options_are_those_of_the_command(name: str) -> None:
    command = main.commands[COMMANDS.get(name, name)]
    options = {str(p.name): p for p in command.params}
    parameters = inspect.signature(getattr(regdata, name)).parameters
    assert set(options) == set(parameters)
    if name == "relabel":  # what is not given stays as it was
        return
    for key, parameter in parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or key in ("compare", "preset"):
            continue
        option = options[key]
        if option.required or key in ("mapping", "format"):
            continue
        default = option.to_info_dict()["default"]
        assert default == parameter.default or (default, parameter.default) == (False, None), key


def test_defaults_of_build_are_those_of_its_options() -> None:
    from regdata.chain import BuildOptions

    parameters = inspect.signature(regdata.build).parameters
    fields = BuildOptions.model_fields
    assert set(parameters) == set(fields)
    for name, parameter in parameters.items():
        if parameter.default not in (inspect.Parameter.empty, None):
            assert parameter.default == fields[name].default, name


def folders() -> list[str]:
    names = []
    for top in ("regdata", "registration", "labelling", "train", "eval"):
        for path in sorted((ROOT / top).rglob("__init__.py")):
            parts = path.parent.relative_to(ROOT).parts
            names.append(".".join(parts if top == "regdata" else ("regdata", *parts)))
    return names


INSIDE = ("regdata.files", "regdata.chain", "regdata.report", "regdata.annotated", "regdata.eval.")
INSIDE += ("regdata.registration", "regdata.public", "regdata.commands")
"""Folders that only other folders use, and those that take options in one object."""


@pytest.mark.parametrize("folder", [f for f in folders() if not f.startswith(INSIDE)])
def test_paths_may_be_text(folder: str) -> None:
    """Of every function a folder offers, a parameter that takes a path takes text as well."""
    module = importlib.import_module(folder)
    only = []
    for name in module.__all__:
        function = inspect.unwrap(getattr(module, name)) if callable(getattr(module, name)) else 0
        if inspect.isfunction(function) and not function.__module__.startswith(INSIDE):
            for key, parameter in inspect.signature(function).parameters.items():
                kind = str(parameter.annotation)
                if "pathlib.Path" in kind and "str" not in kind and "Callable" not in kind:
                    only.append(f"{name}({key})")
    assert only == []


def test_a_section_from_slides_to_exports(pair: SimulatedPair, tmp_path: Path) -> None:
    he, if_, cells = str(pair.he), str(pair.if_), str(tmp_path / "cells.h5")
    summary = regdata.build(he, if_, cells, markers="CD3", classes={"lymphocyte": ["CD3"]})
    assert summary.counts["lymphocyte"] > 10
    assert regdata.read_dataset(cells).classes == ("negative", "lymphocyte")
    assert regdata.open_slide(he).is_rgb

    counts = regdata.relabel(cells, str(tmp_path / "b.h5"), thresholds="otsu", overlap=0.3)
    assert sum(counts.values()) == sum(summary.counts.values())
    with pytest.raises(RegdataError, match="pass `overwrite=True`"):
        regdata.relabel(cells, str(tmp_path / "b.h5"))

    classifier = str(tmp_path / "classifier.pt")
    report = regdata.fit_classifier(cells, classifier, epochs=3)
    assert report.classes == ("negative", "lymphocyte")
    with pytest.raises(RegdataError, match="pass `overwrite=True`"):
        regdata.fit_classifier([cells], classifier)

    exported = regdata.export(cells, str(tmp_path / "cells.geojson"), format="geojson")
    assert exported.output.exists()

    (tmp_path / "points").mkdir()
    inside = pair.truth.xy[(pair.truth.xy < 256).all(1)]
    lines = [f"{x},{y},lymphocyte" for x, y in inside]
    (tmp_path / "points/a.csv").write_text("\n".join(["x,y,class", *lines]))
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images/a.png", pair.tissue.rgb[:256, :256])
    out = str(tmp_path / "scores")
    given = {"images": str(tmp_path / "images"), "points": str(tmp_path / "points")}
    found = regdata.evaluate(classifier, out, **given)
    assert found.written[-1].name == "index.html"
    with pytest.raises(RegdataError, match="holds a result; pass `overwrite=True`"):
        regdata.evaluate(classifier, out, **given)


def test_nuclei_alone(pair: SimulatedPair, tmp_path: Path) -> None:
    output = str(tmp_path / "cells.h5")
    (made,) = regdata.segment(str(pair.he), output, region=(0, 0, 256, 256), tissue="all")
    assert made.output == Path(output)
    assert made.cells == len(regdata.read_dataset(output).cells) > 0
    with pytest.raises(RegdataError, match="`overwrite=True` to replace it or `resume=True`"):
        regdata.segment(str(pair.he), output)


def test_a_map(pair: SimulatedPair, tmp_path: Path) -> None:
    output = str(tmp_path / "t.h5")
    found = regdata.register(str(pair.he), str(pair.if_), output, backend="affine")
    assert found.verdict is not None
    assert found.verdict.median_um < 2
    assert found.method == "affine"
    assert Path(output).exists()


def test_wrong_options_name_the_argument(pair: SimulatedPair, tmp_path: Path) -> None:
    he, if_, out = str(pair.he), str(pair.if_), str(tmp_path / "x.h5")
    with pytest.raises(RegdataError, match=r"`overlap=`: .* got 2"):
        regdata.build(he, if_, out, markers="CD3", overlap=2)
    with pytest.raises(RegdataError, match="`serial=` and `backend=` exclude each other"):
        regdata.register(he, if_, out, serial=True, backend="affine")
    with pytest.raises(RegdataError, match="expected one annotated set"):
        regdata.evaluate(str(tmp_path / "c.pt"))
    with pytest.raises(RegdataError, match=r"expected NAME:DIR .* got nowhere"):
        regdata.validate(out, "nowhere")


def test_options_of_register_are_those_of_the_function() -> None:
    options = set(RegisterOptions.__dataclass_fields__)
    assert options == set(inspect.signature(regdata.register).parameters)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)


def test_the_module_is_the_command() -> None:
    assert python("regdata", "--version").stdout.startswith("regdata, version ")
    missing = python("regdata", "segment", "nowhere.svs", "-o", "x.h5")
    assert missing.returncode == 1
    assert missing.stderr.strip() == "Error: nowhere.svs: no such slide or folder"


def test_torchrun_starts_the_command() -> None:
    words = "torch.distributed.run --nproc_per_node 1 -m regdata train-segmentation --help"
    done = python(*words.split())
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert "torchrun" in done.stdout
