"""`regdata register`, and what the other commands make of its file."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from simulated import SimulatedPair

from regdata.cli import main
from regdata.open import open_slide
from regdata.transform_file import read_about


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def transform(pair: SimulatedPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transform") / "t.h5"
    result = run("register", "--he", pair.he, "--if", pair.if_, "-o", path)
    assert result.exit_code == 0, result.output
    assert "standard deviations above chance" in result.output
    return path


def test_points_go_where_they_truly_lie(
    pair: SimulatedPair, transform: Path, tmp_path: Path
) -> None:
    lines = [f"{x},{y}" for x, y in pair.truth.xy]
    (tmp_path / "he.csv").write_text("\n".join(["x,y", *lines]))
    mapped = tmp_path / "if.csv"
    result = run("warp-points", tmp_path / "he.csv", *there(transform), "-o", mapped)
    assert result.exit_code == 0, result.output
    um = np.loadtxt(mapped, delimiter=",", skiprows=1) * open_slide(pair.if_).known_mpp("")
    off = np.linalg.norm(um - pair.truth.in_if_um, axis=1)
    assert np.median(off) < 1.5  # the section was stretched by 1.2 µm rms, affine cannot follow
    unmapped = np.linalg.norm(pair.truth.in_if_um - pair.truth.xy * 0.25, axis=1)
    assert np.median(unmapped) > 20


def there(transform: Path) -> tuple[object, ...]:
    return ("--transform", transform, "--from", "he")


def test_the_file_says_what_it_was_made_from(pair: SimulatedPair, transform: Path) -> None:
    about = read_about(transform)
    assert about["he"] == str(pair.he)
    assert about["he_mpp"] == 0.25
    assert about["dapi"] == "DAPI"
    assert 0 < float(about["correlation"]) <= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--he", "IF", "--if", "HE"), "are --he and --if swapped?"),
        (("--he", "nowhere.tif", "--if", "IF"), "nowhere.tif"),
        (("--he", "HE", "--if", "IF", "--dapi", "DAPPI"), "DAPPI"),
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
