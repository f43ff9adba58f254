"""`regdata evaluate-segmentation` as a person meets it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from regdata.commands.cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images with one nucleus each, class 2."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    rgb = np.full((96, 96, 3), (210, 180, 225), np.uint8)
    instances = np.zeros((96, 96), np.int32)
    cv2.circle(rgb, (50, 40), 11, (120, 40, 80), -1)
    cv2.circle(instances, (50, 40), 11, 1, -1)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), cv2.GaussianBlur(rgb, (0, 0), 1))
        np.savez(tmp_path / "labels" / f"{name}.npz", inst_map=instances, type_map=instances * 2)
    return tmp_path


def run(*words: object) -> Result:
    arguments = ["evaluate-segmentation", *map(str, words), "--device", "cpu"]
    return CliRunner().invoke(main, arguments)


def test_scores_are_printed_and_written(data: Path, tmp_path: Path) -> None:
    result = run(data, "-o", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    assert "2 image(s) at 0.25 µm/px, model default" in result.output
    assert "): not scored: classes without a partner" in result.output
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [image["found"] for image in content["images"]] == [1, 1]
    assert content["binary"]["f1"]["value"] == 1.0
    assert f"{content['binary']['dice']['value']:.3f}" in result.output


def test_map_scores_the_classes(data: Path) -> None:
    maps = ("misc=1", "inflammatory=2", "epithelial=2", "spindle=2")
    result = run(data, *(word for one in maps for word in ("--map", one)))
    assert result.exit_code == 0, result.output
    assert "): paired as the mapping says." in result.output
    assert "balanced accuracy  1.000" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "expected a folder, but nowhere does not exist"),
        (("DATA", "--map", "misc"), "--map misc: expected CLASSIFIER_CLASS=SET_CLASS"),
        (("DATA", "--map", "misc=7"), "--map: the set has no class 7; it has 1, 2"),
        (("DATA", "--classifier", "x.pt"), "expected a classifier file, but x.pt does not exist"),
        (("DATA", "--model", "x.pt"), "x.pt"),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], message: str, data: Path) -> None:
    result = run(*(data if word == "DATA" else word for word in words))
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    assert message in line
    assert "Traceback" not in result.output


def test_help_names_the_options_and_a_wrong_pixel_size_is_refused(data: Path) -> None:
    assert "--robustness" in run("--help").output
    assert run(data, "--mpp", 0).exit_code == 2
