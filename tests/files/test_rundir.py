from pathlib import Path

import pytest

from regdata.files.rundir import (
    RunDirectory,
    StageResult,
    file_identity,
    read_json,
    stage_key,
    write_json,
)


def test_a_stage_runs_once_per_key(tmp_path: Path) -> None:
    runs: list[str] = []

    def make(path: Path) -> None:
        runs.append(path.name)
        write_json(path, {"run": len(runs)})

    first = RunDirectory(tmp_path / "run", {"a": "k1"})
    result = first.stage("a", "a.json", make)
    assert result == StageResult("a", tmp_path / "run/a.json", kept=False)
    assert result.then(read_json) == StageResult("a", {"run": 1}, kept=False)
    assert first.stage("a", "a.json", make).kept
    assert runs == ["a.json"]
    assert not RunDirectory(tmp_path / "run", {"a": "k2"}).stage("a", "a.json", make).kept
    assert read_json(tmp_path / "run/a.json") == {"run": 2}


def test_an_interrupted_stage_is_redone(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, {"a": "k1"})
    run.stage("a", "a.json", lambda path: write_json(path, {"old": 1}))

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunDirectory(tmp_path, {"a": "k2"}).stage("a", "a.json", interrupted)
    # the old result is there, but may not pass for either key
    assert not run.stage("a", "a.json", lambda path: write_json(path, {"new": 1})).kept
    assert read_json(tmp_path / "a.json") == {"new": 1}


def test_keys_depend_on_every_input() -> None:
    base = stage_key(a=1, b=[2, Path("x")])
    assert base == stage_key(b=[2, Path("x")], a=1)
    assert base != stage_key(a=1, b=[3, Path("x")])
    assert base != stage_key(a=1)


def test_file_identity(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a" * 3_000_000)
    first = file_identity(path)
    assert first == file_identity(path)
    path.write_bytes(b"a" * 2_999_999 + b"b")
    assert file_identity(path)["sha256"] != first["sha256"]
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / ".zattrs").write_text("{}")
    assert file_identity(tmp_path / "z") != file_identity(tmp_path / "x")


def test_publishing_moves_the_result(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run", {"label": "k"})
    result = run.stage("label", "r.h5", lambda path: write_json(path, {})).value
    output = tmp_path / "out.h5"
    assert not run.published(output)
    run.publish(result, output)
    assert run.published(output)
    assert not result.exists()
    assert not RunDirectory(tmp_path / "run", {"label": "other"}).published(output)
