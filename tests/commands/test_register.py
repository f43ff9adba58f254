"""`regdata register`, and what the other commands make of its file."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from simulated import SIDE, SimulatedPair

from regdata.commands.cli import main
from regdata.simulate.tissue import render_tissue
from regdata.slides.open import open_slide
from regdata.slides.write_tiff import write_ome_tiff
from regdata.transforms.file import load_transform, read_about, save_transform
from regdata.transforms.transform import Transform


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def transform(pair: SimulatedPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transform") / "t.h5"
    result = run("register", "--he", pair.he, "--if", pair.if_, "-o", path)
    assert result.exit_code == 0, result.output
    assert "tiles accepted, expected error median 0." in result.output
    return path


def test_points_go_where_they_truly_lie(
    pair: SimulatedPair, transform: Path, tmp_path: Path
) -> None:
    lines = [f"{x},{y}" for x, y in pair.truth.xy]
    (tmp_path / "he.csv").write_text("\n".join(["x,y", *lines]))
    mapped = tmp_path / "if.csv"
    result = run("warp-points", tmp_path / "he.csv", *there(transform), "-o", mapped)
    assert result.exit_code == 0, result.output
    um = np.loadtxt(mapped, delimiter=",", skiprows=1) * open_slide(pair.if_).known_mpp()
    off = np.linalg.norm(um - pair.truth.in_if_um, axis=1)
    assert np.median(off) < 0.25  # the section was stretched by 1.2 µm rms
    unmapped = np.linalg.norm(pair.truth.in_if_um - pair.truth.xy * 0.25, axis=1)
    assert np.median(unmapped) > 20


def there(transform: Path) -> tuple[object, ...]:
    return ("--transform", transform, "--from", "he")


def test_the_file_says_what_it_was_made_from(pair: SimulatedPair, transform: Path) -> None:
    about = read_about(transform)
    assert about["he"] == str(pair.he)
    assert about["he_mpp"] == 0.25
    assert about["channel"] == "DAPI"
    assert about["backend"] == "ours"
    assert about["verdict"] in ("accept", "warn")
    assert 0 < float(about["affine_correlation"]) < float(about["correlation"]) <= 1


def test_the_report_lies_beside_it(transform: Path) -> None:
    names = {path.name for path in transform.with_name("t_report").iterdir()}
    assert {"quality.csv", "quality.geojson", "quality_error.png"} <= names


def test_backends_are_compared_and_the_best_is_kept(pair: SimulatedPair, tmp_path: Path) -> None:
    um = pair.truth.xy[::20] * 0.25
    he, if_ = tmp_path / "he.csv", tmp_path / "if.csv"
    rows = pair.truth.xy[::20], pair.truth.in_if_um[::20] / open_slide(pair.if_).known_mpp()
    for path, points in zip((he, if_), rows, strict=True):
        path.write_text("\n".join(["x,y", *(f"{x},{y}" for x, y in points)]))
    words = ("--compare", "affine,ours", "--landmarks", he, if_, "--report", tmp_path / "r")
    result = run("register", "--he", pair.he, "--if", pair.if_, "-o", tmp_path / "t.h5", *words)
    assert result.exit_code == 0, result.output
    assert read_about(tmp_path / "t.h5")["backend"] == "ours"
    table = pd.read_csv(tmp_path / "r" / "comparison.csv")
    assert table["method"].tolist() == ["ours", "affine"]
    told = re.findall(r"landmarks, (\w+): (\d+) points, error median ([\d.]+)", result.output)
    assert {name for name, *_ in told} == {"ours", "affine"}
    assert {int(count) for _, count, _ in told} == {len(um)}
    median = {name: float(value) for name, _, value in told}
    assert median["ours"] < 0.25
    # the second look corrects an affine map by much
    assert median["affine"] < 0.8


def test_different_tissue_is_refused(pair: SimulatedPair, tmp_path: Path) -> None:
    other = render_tissue((SIDE, SIDE), seed=77)
    write_ome_tiff(tmp_path / "other.ome.tif", other.rgb, 0.25)
    result = run(
        "register", "--he", tmp_path / "other.ome.tif", "--if", pair.if_, "-o", tmp_path / "t.h5"
    )
    assert result.exit_code == 1
    assert "do not look like the same tissue" in result.stderr
    assert not (tmp_path / "t.h5").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--he", "IF", "--if", "HE"), "are --he and --if swapped?"),
        (("--he", "nowhere.tif", "--if", "IF"), "nowhere.tif"),
        (("--he", "HE", "--if", "IF", "--dapi", "DAPPI"), "DAPPI"),
        (("--he", "HE", "--if", "IF", "--compare", "ours,warpy"), "expected two or more of ours"),
        (("--he", "HE", "--if", "IF", "--compare", "ours"), "expected two or more"),
        (("--he", "HE", "--if", "IF", "--serial", "--backend", "affine"), "exclude each other"),
        (("--he", "HE", "--if", "IF", "--transform", "no.h5"), "no.h5: no such file"),
        (("--he", "HE", "--if", "IF", "--backend", "valis"), "--valis-python"),
        (("--he", "HE", "--if", "IF", "--moving-stain", "dab"), "dab is a stain of bright field"),
        (("--he", "HE", "--if", "IF", "--landmarks", "no.csv", "no.csv"), "cannot read no.csv"),
    ],
)
def test_mistakes_get_one_line(
    words: tuple[str, ...], told: str, pair: SimulatedPair, tmp_path: Path
) -> None:
    files = {"HE": str(pair.he), "IF": str(pair.if_)}
    result = run("register", *(files.get(word, word) for word in words), "-o", tmp_path / "t.h5")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert told.lower() in line.lower()
    assert "Traceback" not in result.output
    assert not (tmp_path / "t.h5").exists()


def test_what_is_there_is_not_replaced_unasked(pair: SimulatedPair, transform: Path) -> None:
    result = run("register", "--he", pair.he, "--if", pair.if_, "-o", transform)
    assert result.exit_code == 1
    assert "--overwrite" in result.output


def test_a_given_map_is_judged_and_not_changed(
    pair: SimulatedPair, transform: Path, tmp_path: Path
) -> None:
    given = load_transform(transform)
    off = given.then(Transform.affine(np.array([[1.0, 0, 0.6], [0, 1, 0], [0, 0, 1]])))
    save_transform(tmp_path / "off.h5", off)
    words = ("--he", pair.he, "--if", pair.if_, "--transform", tmp_path / "off.h5")
    result = run("register", *words, "-o", tmp_path / "judged.h5")
    assert result.exit_code == 0, result.output
    about = read_about(tmp_path / "judged.h5")
    assert about["backend"] == "given"
    assert float(about["expected_error_um"]) == pytest.approx(0.6, abs=0.25)
    at = pair.truth.xy * 0.25
    assert np.array_equal(load_transform(tmp_path / "judged.h5").points(at), off.points(at))
