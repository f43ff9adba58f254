"""`regdata export-transform` and `import-transform`."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from regdata.commands.cli import main
from regdata.transforms.displacement import Displacement
from regdata.transforms.file import load_transform, read_about, save_transform
from regdata.transforms.transform import Transform

SIZES: dict[str, str | float | int] = {"he_width_um": 400.0, "he_height_um": 300.0}


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def bent() -> Transform:
    samples = np.random.default_rng(0).normal(0, 2, (2, 9, 9))
    field = Displacement.through(samples, np.full(2, -60.0), 60.0)
    matrix = np.array([[0.0, -1.02, 300], [1.01, 0, 5], [0, 0, 1]])
    return Transform.displaced(field).then(Transform.affine(matrix))


@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_there_and_back(tmp_path: Path, suffix: str) -> None:
    save_transform(tmp_path / "t.h5", bent(), SIZES)
    itk, again = tmp_path / f"itk{suffix}", tmp_path / "again.h5"
    result = run("export-transform", tmp_path / "t.h5", "-o", itk)
    assert result.exit_code == 0, result.output
    result = run("import-transform", itk, "-o", again, "--he-mpp", 0.25, "--if-mpp", 0.5)
    assert result.exit_code == 0, result.output
    at = np.random.default_rng(1).uniform(10, 290, (50, 2))
    off = load_transform(again).points(at) - bent().points(at)
    assert np.abs(off).max() < 0.02
    assert read_about(again)["if_mpp"] == 0.5


def test_landmarks_become_a_transform(tmp_path: Path) -> None:
    he = np.random.default_rng(0).uniform(0, 1000, (8, 2))
    matrix = np.array([[0.9, 0.2, 30], [-0.2, 0.9, 40], [0, 0, 1]])
    if_ = (he * 0.25 @ matrix[:2, :2].T + matrix[:2, 2]) / 0.5
    for name, points in (("he", he), ("if", if_)):
        rows = "\n".join(f"{x},{y}" for x, y in points)
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{rows}\n")
    words = ("--landmarks", tmp_path / "he.csv", tmp_path / "if.csv", "-o", tmp_path / "t.h5")
    assert run("import-transform", *words).exit_code == 1
    result = run("import-transform", *words, "--he-mpp", 0.25, "--if-mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert load_transform(tmp_path / "t.h5").matrix == pytest.approx(matrix, abs=1e-4)


def test_mistakes_get_one_line(tmp_path: Path) -> None:
    save_transform(tmp_path / "bare.h5", bent())
    (tmp_path / "junk.tfm").write_text("junk")
    cases = {
        "does not say the size": (
            "export-transform",
            tmp_path / "bare.h5",
            "-o",
            tmp_path / "x.tfm",
        ),
        "expected a name in .tfm": (
            "export-transform",
            tmp_path / "bare.h5",
            "-o",
            tmp_path / "x.y",
        ),
        "no such file": ("export-transform", tmp_path / "no.h5", "-o", tmp_path / "x.tfm"),
        "one of the two": ("import-transform", "-o", tmp_path / "x.h5"),
        "no transform that ITK can read": (
            "import-transform",
            tmp_path / "junk.tfm",
            "-o",
            tmp_path / "x.h5",
        ),
    }
    save_transform(tmp_path / "bare.h5", Transform.affine(np.eye(3)))
    assert run(*cases.pop("expected a name in .tfm")).exit_code == 1
    save_transform(tmp_path / "bare.h5", bent())
    for told, words in cases.items():
        result = run(*words)
        assert result.exit_code == 1, told
        assert told in result.stderr
        assert "Traceback" not in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"bare.h5", "junk.tfm"}
