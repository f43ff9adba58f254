"""The command line as a person meets it: help, summaries, and one clear line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from simulated import SimulatedPair

from regdata.chain import registering
from regdata.commands.cli import main
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.slides.write_tiff import write_ome_tiff


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def build(pair: SimulatedPair, output: Path, *extra: object, **slides: object) -> Result:
    he, if_ = slides.get("he", pair.he), slides.get("if_", pair.if_)
    marker = () if "--marker" in extra else ("--marker", "CD3")
    return run("build", "--he", he, "--if", if_, *marker, "-o", output, *extra)


def refused(result: Result, *words: str) -> None:
    """Exit code 1, one line that says all of `words`, no traceback."""
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.output
    assert result.stderr.strip().splitlines()[-1] == lines[0]
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in result.output


def test_help_names_the_commands() -> None:
    text = run("--help").output
    commands = ("build", "train", "evaluate", "demo", "warp", "warp-points", "warp-geojson")
    assert all(f"\n  {name} " in text for name in commands)
    for command in commands:
        assert run(command, "--help").exit_code == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom regdata.commands.cli import main\n"
        "CliRunner().invoke(main, ['build', '--help'])\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'SimpleITK') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["build"],
        ["build", "--he", "a", "--if", "b", "-o", "c"],
        ["build", "--he", "a", "--if", "b", "-o", "c", "--marker", "x", "--overlap", "2"],
        ["build", "--he", "a", "--if", "b", "-o", "c", "--marker", "x", "--he-mpp", "-1"],
        ["train", "-o", "x.pt"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def png(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), image)
    return path


def test_missing_file(pair: SimulatedPair, tmp_path: Path) -> None:
    refused(build(pair, tmp_path / "x.h5", he=tmp_path / "no.svs"), "no.svs: no such file")


def test_not_an_image(pair: SimulatedPair, tmp_path: Path) -> None:
    (tmp_path / "he.tif").write_text("hello")
    refused(build(pair, tmp_path / "x.h5", he=tmp_path / "he.tif"), "he.tif", "not an image")


def test_truncated_tiff(pair: SimulatedPair, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ome.tif"
    cut.write_bytes(pair.if_.read_bytes()[: pair.if_.stat().st_size // 2])
    refused(build(pair, tmp_path / "x.h5", if_=cut), "cut.ome.tif")


def test_no_such_marker(pair: SimulatedPair, tmp_path: Path) -> None:
    result = build(pair, tmp_path / "x.h5", "--marker", "CD4")
    refused(result, "CD4", "DAPI", "CD3", "did you mean")


def test_no_dapi(pair: SimulatedPair, tmp_path: Path) -> None:
    result = build(pair, tmp_path / "x.h5", "--channel-names", "blue,CD3")
    refused(result, "--dapi", "blue")


def test_marker_is_dapi(pair: SimulatedPair, tmp_path: Path) -> None:
    refused(build(pair, tmp_path / "x.h5", "--marker", "dapi"), "nuclear channel")


@pytest.mark.parametrize(("slide", "option"), [("he", "--he-mpp"), ("if_", "--if-mpp")])
def test_no_pixel_size(pair: SimulatedPair, tmp_path: Path, slide: str, option: str) -> None:
    if slide == "he":
        path = png(tmp_path / "he.png", pair.tissue.rgb[..., ::-1])
    else:
        path = tmp_path / "if.ome.tif"
        write_ome_tiff(path, np.zeros((2, 64, 64), np.uint16), None, ("DAPI", "CD3"))
    refused(build(pair, tmp_path / "x.h5", **{slide: path}), option, path.name)


def test_other_tissue_is_refused_with_the_measure(pair: SimulatedPair, tmp_path: Path) -> None:
    other = render_tissue((1024, 1024), seed=77)
    positive = np.ones(len(other.kinds), bool)
    restained = restain(other.rgb, other.instances, positive, RestainSettings(), seed=3)
    write_ome_tiff(tmp_path / "o.ome.tif", restained.image, restained.mpp, restained.channels)
    result = build(pair, tmp_path / "x.h5", if_=tmp_path / "o.ome.tif")
    refused(result, "do not look like the same tissue", "correlation")
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("value", [255, 0])
def test_empty_he(pair: SimulatedPair, tmp_path: Path, value: int) -> None:
    he = png(tmp_path / "he.png", np.full((512, 512, 3), value, np.uint8))
    refused(build(pair, tmp_path / "x.h5", "--he-mpp", "0.25", he=he), "he.png")


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("value", [5.0, np.nan])
def test_constant_or_nan_channel(
    pair: SimulatedPair, tmp_path: Path, channel: int, value: float
) -> None:
    from regdata.slides.open import open_slide

    slide = open_slide(pair.if_)
    image = slide.read((0, 0), slide.size).astype(np.float32)
    image[channel] = value
    write_ome_tiff(tmp_path / "bad.ome.tif", image, slide.mpp, slide.channels)
    result = build(pair, tmp_path / "x.h5", if_=tmp_path / "bad.ome.tif")
    refused(result, "bad.ome.tif", slide.channels[channel])


def test_swapped_slides(pair: SimulatedPair, tmp_path: Path) -> None:
    refused(build(pair, tmp_path / "x.h5", he=pair.if_, if_=pair.he), "swapped")


def test_class_of_an_unknown_marker(pair: SimulatedPair, tmp_path: Path) -> None:
    result = build(pair, tmp_path / "x.h5", "--class", "T=CD8")
    refused(result, "CD8", "no marker or class", "CD3")
    refused(build(pair, tmp_path / "x.h5", "--class", "T"), "expected NAME=RULE")
    refused(build(pair, tmp_path / "x.h5", "--class", "negative=CD3"), "taken")


def test_output_is_a_folder(pair: SimulatedPair, tmp_path: Path) -> None:
    refused(build(pair, tmp_path), "is a folder")


def test_ctrl_c_leaves_no_output(
    pair: SimulatedPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registering, "register", interrupted)
    result = build(pair, tmp_path / "x.h5")
    assert result.exit_code == 1
    assert "Aborted!" in result.output
    assert not (tmp_path / "x.h5").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_three_commands(pair: SimulatedPair, tmp_path: Path) -> None:
    data, classifier = tmp_path / "cells.h5", tmp_path / "classifier.pt"
    result = build(pair, data, "--class", "lymphocyte=CD3")
    assert result.exit_code == 0, result.output
    assert "lymphocyte" in result.output
    assert "correlation" in result.output

    result = run("train", data, "-o", classifier, "--epochs", "5")
    assert result.exit_code == 0, result.output
    assert "AUROC" in result.output
    assert "Warning: " in result.stderr  # a single slide: what the split means
    refused(run("train", data, "-o", classifier), "--overwrite")

    (tmp_path / "images").mkdir()
    (tmp_path / "points").mkdir()
    png(tmp_path / "images/a.png", pair.tissue.rgb[:512, :512, ::-1])
    inside = (pair.truth.xy < 512).all(1)
    names = np.where(pair.truth.positive, "lymphocyte", "other")[inside]
    lines = [f"{x},{y},{n}" for (x, y), n in zip(pair.truth.xy[inside], names, strict=True)]
    (tmp_path / "points/a.csv").write_text("\n".join(["x,y,class", *lines]))
    given = ("--images", tmp_path / "images", "--points", tmp_path / "points")
    result = run("evaluate", classifier, *given, "-o", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    assert "lymphocyte" in result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["detection"]["annotated"] == inside.sum()
    assert scores["detection"]["f1"] > 0.7
    assert scores["classes"]["lymphocyte"]["f1"] > 0.3

    refused(run("evaluate", classifier), "--images DIR --points DIR")
    refused(run("evaluate", data, *given), "classifier")
    refused(run("train", classifier, "-o", tmp_path / "y.pt"), "HDF5")
    refused(run("evaluate", classifier, "--nucls", tmp_path / "nowhere"), "nowhere")


def test_demo_refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    refused(run("demo", tmp_path), "is not empty")
