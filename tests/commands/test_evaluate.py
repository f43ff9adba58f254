"""`regdata evaluate`, `regdata agree` and `regdata compare` as a person meets them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from evaluated import evaluation
from exported import he_facts, write_labelled
from simulated import SimulatedPair

from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.public import evaluating as stage


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """A command line whose network is left out: cells come from a made-up evaluation."""
    for part in ("images", "points"):
        (tmp_path / part).mkdir()
    found = evaluation(tmp_path / "images")
    for image in found.images:
        rows = [f"{x},{y},cell" for x, y in image.image.points_xy]
        (tmp_path / f"points/{image.image.name}.csv").write_text("\n".join(["x,y,class", *rows]))
    (tmp_path / "c.pt").write_bytes(b"x")
    monkeypatch.setattr(stage, "evaluate_cells", lambda *_: found)
    return ("evaluate", tmp_path / "c.pt", *("--images", tmp_path / "images"), "--points",
            tmp_path / "points")  # fmt: skip


def test_a_folder_gets_scores_cells_and_a_page(given: tuple[object, ...], tmp_path: Path) -> None:
    result = run(*given, "-o", tmp_path / "out", "--preset", "ocelot")
    assert result.exit_code == 0, result.output
    names = {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()}
    assert names == {"scores", "cells", "index"}
    assert "mF1 " in result.output
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert set(scores["presets"]["ocelot"]["per_class"]) == {"negative", "lymphocyte"}
    same = run("compare", tmp_path / "out", tmp_path / "out", "-o", tmp_path / "d.json")
    assert same.exit_code == 0, same.output
    assert json.loads((tmp_path / "d.json").read_text())["differences"]["mean F1"]["value"] == 0


def test_a_json_stays_what_it_was(given: tuple[object, ...], tmp_path: Path) -> None:
    assert run(*given, "-o", tmp_path / "scores.json").exit_code == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert "counts" not in scores
    result = run("compare", tmp_path / "scores.json", tmp_path / "scores.json")
    assert result.exit_code == 1
    assert "no counts per image" in result.stderr


def test_wrong_options_are_one_line(given: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for words, message in (
        ((*given, "--preset", "best"), "expected a preset for points"),
        ((*given, "-o", tmp_path / "file"), "is a file; -o takes a folder"),
        ((*given, "--set", "nucls:x"), "expected one annotated set"),
        ((*given[:2], "--set", "nonsense:x"), "expected NAME:DIR"),
    ):
        result = run(*words)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "Traceback" not in result.output


def test_agree(pair: SimulatedPair, perfect_segment: object, tmp_path: Path) -> None:
    (cells,) = perfect_segment()  # type: ignore[operator]
    _, labels = write_labelled(tmp_path / "cells.h5", cells, he_facts(pair))
    features = [
        {
            "geometry": {"type": "Point", "coordinates": xy.tolist()},
            "properties": {"classification": {"name": name}},
        }
        for xy, name in zip(cells.xy, np.resize(["negative", "CD3"], len(labels)), strict=True)
    ]
    (tmp_path / "ann.geojson").write_text(json.dumps(features))
    for output in ("a.json", "page"):
        words = ("agree", tmp_path / "cells.h5", tmp_path / "ann.geojson", "-o", tmp_path / output)
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert "are unknown and left out" in result.output
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == json.loads((tmp_path / "page/agreement.json").read_text())
    assert content["readers"][0]["unknown"] > 0
    assert (tmp_path / "page/index.html").exists()


def test_intervals_draw_slides_unless_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def stop(_: object, __: object, settings: Any, *___: object) -> None:
        asked.append(settings.conventions.resample)
        raise RegdataError("enough")

    monkeypatch.setattr("regdata.public.evaluating.evaluate_cells", stop)
    monkeypatch.setattr("regdata.public.evaluating.load_set", lambda _: None)
    for more in ([], ["--resample", "image"]):
        CliRunner().invoke(main, ["evaluate", "c.pt", "--set", "nucls:x", *more])
    assert asked == ["slide", "image"]
