"""`regdata segment` from files to files, with a network that sees nuclei by their colour."""

import gzip
import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from coloured import HEMATOXYLIN, MODEL
from PIL import Image

from regdata.cells.dataset import read_dataset
from regdata.cellvit.networks.classifier import (
    Classifier,
    ClassifierInfo,
    TokenClassifier,
    save_classifier,
)
from regdata.cellvit.tiles.plan import Tiling
from regdata.cellvit.tiles.whole_slide import SegmentSettings
from regdata.commands.cli import main
from regdata.segmenting import run as segmenting
from regdata.segmenting.run import SegmentOptions, segment_slide
from regdata.slides.write_tiff import write_ome_tiff

SMALL = SegmentSettings(Tiling(tile=256, overlap=64))
OPTIONS = SegmentOptions(settings=SMALL)
SIZE = (700, 500)
CENTRES = [(x, y) for y in range(30, 480, 41) for x in range(30, 680, 37)]


def picture(centres: list[tuple[int, int]] = CENTRES) -> np.ndarray:
    """Discs of the colour of hematoxylin on white, (H, W, 3)."""
    rgb = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    for centre in centres:
        cv2.circle(rgb, centre, 9, HEMATOXYLIN, -1)
    return rgb


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "he.ome.tif"
    write_ome_tiff(path, picture(), 0.25)
    return path


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regdata.public.segmenting.load_model", lambda path, device, exact: MODEL)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["segment", *map(str, words)])


def refused(result: Result, *words: str) -> None:
    """Exit code 1, one line that says all of `words`, no traceback."""
    assert result.exit_code == 1, result.output
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    for word in words:
        assert word in line
    assert "Traceback" not in result.output


def test_a_slide_becomes_a_file_of_cells(slide: Path, tmp_path: Path) -> None:
    result = run(slide, "-o", tmp_path / "cells.h5", "--tissue", "all")
    assert result.exit_code == 0, result.output
    assert f"cells.h5: {len(CENTRES)} cells" in result.output
    read = anndata.read_h5ad(tmp_path / "cells.h5")
    found = read.obsm["spatial"]
    distance = np.linalg.norm(found[:, None] - (np.array(CENTRES) + 0.5), axis=2)
    assert distance.min(1).max() < 0.6
    assert set(read.obs["kind"]) == {"cell"}
    assert set(read.obs["slide"]) == {"he.ome"}
    assert (read.obs["probability"] > 0.99).all()
    assert read.obs["focus"].between(0, 1).all()
    about = read.uns["regdata"]
    assert about["model"]["sha256"] == MODEL.sha256
    assert tuple(about["he"]["size"]) == SIZE
    assert json.loads(about["settings"])["postprocess"]["normalise"] == "fixed"
    assert sum(about["tiles"]["cells"]) >= len(CENTRES)


def test_files_beside(slide: Path, tmp_path: Path) -> None:
    result = run(slide, "-o", tmp_path / "c.h5", "--tissue", "all", "--geojson", "--cellvit-files")
    assert result.exit_code == 0, result.output
    with gzip.open(tmp_path / "c.cells.geojson.gz") as file:
        features = json.load(file)["features"]
    assert len(features) == len(CENTRES)
    assert features[0]["properties"]["classification"]["name"] == "cell"
    cells = json.loads((tmp_path / "c" / "cells.json").read_text())
    assert len(cells["cells"]) == len(CENTRES)
    assert cells["wsi_metadata"]["base_mpp"] == 0.25
    graph = torch.load(tmp_path / "c" / "cells.pt", weights_only=True)
    assert graph["x"].shape == (len(CENTRES), 1)


def test_a_folder_of_pictures_becomes_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, centres in {"a": CENTRES[:3], "b": CENTRES[5:6], "c": []}.items():
        Image.fromarray(picture(centres)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--he-mpp", 0.25, "--tissue", "all")
    assert result.exit_code == 0, result.output
    counts = {p.stem: len(read_dataset(p).cells) for p in (tmp_path / "out").glob("*.h5")}
    assert counts == {"a": 3, "b": 1, "c": 0}


def test_one_bad_slide_does_not_keep_the_others(slide: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    result = run(tmp_path / "bad.png", slide, "-o", tmp_path / "out", "--tissue", "all")
    refused(result, "1 of 2 slides failed")
    assert "bad.png" in result.stderr
    assert len(read_dataset(tmp_path / "out" / "he.ome.h5").cells) == len(CENTRES)


def test_tissue_and_region(slide: Path, tmp_path: Path) -> None:
    ring = [[0, 0], [250, 0], [250, 200], [0, 200], [0, 0]]
    drawn = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "t.geojson").write_text(json.dumps(drawn))
    assert run(slide, "-o", tmp_path / "t.h5", "--tissue", tmp_path / "t.geojson").exit_code == 0
    assert 0 < len(read_dataset(tmp_path / "t.h5").cells) == len(CENTRES)  # one tile sees it all
    region = ("--region", "0,0,250,200", "--tissue", "all")
    assert run(slide, "-o", tmp_path / "r.h5", *region).exit_code == 0
    inside = [c for c in CENTRES if c[0] < 249.5 and c[1] < 199.5]
    assert len(read_dataset(tmp_path / "r.h5").cells) == len(inside)


def test_a_classifier_names_the_cells(slide: Path, tmp_path: Path) -> None:
    network = TokenClassifier(1, 2, 2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.fc2.bias.data[1] = 2.0
    info = ClassifierInfo(
        classes=("lymphocyte", "plasma cell"),
        token_width=1,
        hidden=2,
        dropout=0.0,
        model_name="default",
        model_sha256=MODEL.sha256,
        mean=(0.0,),
        std=(1.0,),
    )
    save_classifier(tmp_path / "c.pt", Classifier(network, info))
    result = run(slide, "-o", tmp_path / "x.h5", "--classifier", tmp_path / "c.pt")
    assert result.exit_code == 0, result.output
    obs = read_dataset(tmp_path / "x.h5").obs
    assert set(obs["kind"]) == {"plasma cell"}
    assert np.allclose(obs["kind_probability"], np.exp(2) / (1 + np.exp(2)), atol=1e-3)
    other = info.model_copy(update={"model_sha256": "f" * 64})
    save_classifier(tmp_path / "o.pt", Classifier(network, other))
    result = run(slide, "-o", tmp_path / "y.h5", "--classifier", tmp_path / "o.pt")
    refused(result, "trained on tokens of")
    assert not (tmp_path / "y.h5").exists()


def test_what_is_there_is_not_replaced_unasked(slide: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.h5"
    assert run(slide, "-o", output, "--tissue", "all").exit_code == 0
    refused(run(slide, "-o", output, "--tissue", "all"), "--overwrite", "--resume")
    kept = run(slide, "-o", output, "--tissue", "all", "--resume")
    assert kept.exit_code == 0
    assert "(kept)" in kept.output
    refused(run(slide, "-o", output, "--resume"), "other options", "--overwrite")
    assert "(kept)" not in run(slide, "-o", output, "--overwrite").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.svs", "-o", "x.h5"], "no such slide"),
        (["{empty}", "-o", "x"], "holds no slides or pictures"),
        (["{slide}", "-o", "x.csv"], "expected -o to be a .h5"),
        (["{slide}", "{slide}", "-o", "x.h5"], "2 slides need a folder"),
        (["{slide}", "{slide}", "-o", "x"], "two slides would both become he.ome.h5"),
        (["{slide}", "-o", "x.h5", "--region", "1,2"], "expected a region"),
        (["{slide}", "-o", "x.h5", "--tissue", "no.geojson"], "no.geojson"),
        (["{slide}", "-o", "x.h5", "--classifier", "no.pt"], "no.pt"),
        (["{png}", "-o", "x.h5"], "pass --he-mpp"),
        (["{png}", "-o", "x.h5", "--he-mpp", "5"], "at most 0.75 µm per pixel"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(
    words: list[str], told: str, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.fromarray(picture()).save(tmp_path / "p.png")
    names = {"slide": slide, "empty": tmp_path / "empty", "png": tmp_path / "p.png"}
    refused(run(*(word.format(**names) for word in words)), told)
    assert not list(tmp_path.glob("x*"))
    assert not list(tmp_path.glob(".x*"))


def test_ctrl_c_says_how_to_go_on(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "x.h5"
    with monkeypatch.context() as patched:
        patched.setattr(segmenting, "quality_columns", interrupted)
        refused(run(slide, "-o", output, "--tissue", "all"), "--resume goes on from here")
    assert not output.exists()
    refused(run(slide, "-o", output, "--tissue", "all"), "unfinished run", "--resume")
    assert run(slide, "-o", output, "--tissue", "all", "--resume").exit_code == 0
    assert len(read_dataset(output).cells) == len(CENTRES)
    assert not list(tmp_path.glob(".x*"))


WORKER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/segmenting"]
from coloured import MODEL
from test_run import OPTIONS
from dataclasses import replace
from regdata.segmenting.run import segment_slide

forward = MODEL.network.forward
def slowly(image):
    time.sleep(0.05)
    return forward(image)
MODEL.network.forward = slowly
options = replace(OPTIONS, tissue="all", resume=True)
print("begins", flush=True)
segment_slide(Path({slide!r}), Path({output!r}), MODEL, None, options)
"""


def test_killed_at_any_time_it_goes_on_without_losing_or_doubling_a_cell(
    slide: Path, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed.h5"
    segment_slide(slide, undisturbed, MODEL, None, replace(OPTIONS, tissue="all"))
    output = tmp_path / "killed.h5"
    tests = str(Path(__file__).parents[1])
    code = WORKER.format(tests=tests, slide=str(slide), output=str(output))
    draw = random.Random(5)
    kills = 0
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if attempt < 2:
                time.sleep(draw.uniform(0.1, 0.6))
                process.kill()
            process.wait()
            kills += process.returncode == -9
        assert not output.exists() or process.returncode == 0
        if output.exists():
            break
    assert kills >= 1
    a, b = read_dataset(undisturbed), read_dataset(output)
    for name in ("xy", "vertices", "offsets", "tokens", "probability", "flags"):
        assert np.array_equal(getattr(a.cells, name), getattr(b.cells, name)), name
    assert same_obs(a.obs, b.obs)
    assert not list(tmp_path.glob(".killed.h5*"))


def same_obs(a: Any, b: Any) -> bool:
    return bool(a.equals(b))
