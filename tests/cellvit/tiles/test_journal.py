import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from regdata.cells.table import CellTable
from regdata.cellvit.tiles import journal_file
from regdata.cellvit.tiles.journal import Journal
from regdata.errors import RegdataError


def table(seed: int, count: int = 3, width: int = 4) -> CellTable:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(3, 9, count))]).astype(np.int64)
    return CellTable(
        xy=rng.uniform(0, 1e5, (count, 2)),
        vertices=rng.uniform(0, 1e5, (offsets[-1], 2)).astype(np.float32),
        offsets=offsets,
        tokens=rng.normal(size=(count, width)).astype(np.float16),
        kind=rng.integers(1, 3, count).astype(np.uint8),
        kind_probability=rng.random(count, np.float32),
        probability=rng.random(count, np.float32),
        area_um2=rng.random(count, np.float32),
        flags=rng.integers(0, 3, count).astype(np.uint8),
    )


def same(a: CellTable, b: CellTable) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        and getattr(a, name).dtype == getattr(b, name).dtype
        for name in vars(a)
    )


def write(path: Path, tiles: int) -> None:
    """Tiles (0, 0), (0, 1), ..."""
    with Journal.open(path, "key", 4) as journal:
        for k in range(tiles):
            journal.append(0, k, table(k), {"focus": k / 3})


def holds(path: Path, tiles: int) -> bool:
    """Whether the journal has the first tiles of `write`, whole, and no others."""
    with Journal.open(path, "key", 4) as journal:
        read = [journal.read(0, k) for k in range(tiles)]
        return journal.tiles == {(0, k) for k in range(tiles)} and all(
            found is not None and same(found[0], table(k)) and found[1] == {"focus": k / 3}
            for k, found in enumerate(read)
        )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.journal"
    with Journal.open(path, "key", 4) as journal:
        assert journal.tiles == set()
        assert journal.read(0, 0) is None
        journal.append(2, 5, table(1), {"focus": 0.25, "folds": float("nan")})
        journal.append(0, 1, CellTable.empty(4), {})
        first = journal.read(2, 5)
    with Journal.open(path, "key", 4) as journal:
        again, empty = journal.read(2, 5), journal.read(0, 1)
        assert journal.tiles == {(2, 5), (0, 1)}
        assert journal.read(5, 2) is None
    for found in (first, again):
        assert found is not None
        assert same(found[0], table(1))
        assert found[1]["focus"] == 0.25
        assert np.isnan(found[1]["folds"])
        assert all(getattr(found[0], name).flags.aligned for name in vars(found[0]))
    assert empty is not None
    assert same(empty[0], CellTable.empty(4))
    assert empty[1] == {}


def test_a_tile_done_again_replaces_the_first(tmp_path: Path) -> None:
    write(tmp_path / "x", 2)
    with Journal.open(tmp_path / "x", "key", 4) as journal:
        journal.append(0, 0, table(7), {})
    with Journal.open(tmp_path / "x", "key", 4) as journal:
        found = journal.read(0, 0)
        assert found is not None
        assert same(found[0], table(7))
        assert len(journal.tiles) == 2


def test_a_log_cut_anywhere_keeps_the_tiles_before(tmp_path: Path) -> None:
    """What a killed run leaves is a file and a log of what is to come into it."""
    whole, path = tmp_path / "whole", tmp_path / "x"
    with Journal.open(whole, "key", 4) as journal:
        for k in range(3):
            journal.append(0, k, table(k), {"focus": k / 3})
        log = (tmp_path / "whole-wal").read_bytes()
        content = whole.read_bytes()
    counts = []
    for length in [*range(0, len(log), 2003), len(log)]:
        path.write_bytes(content)
        (tmp_path / "x-wal").write_bytes(log[:length])
        with Journal.open(path, "key", 4) as journal:
            counts.append(len(journal.tiles))
        assert holds(path, counts[-1]), length
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def outcome(path: Path, tiles: int) -> str:
    """What opening and reading a damaged journal comes to; what it gives must be right."""
    try:
        with Journal.open(path, "key", 4) as journal:
            assert journal.tiles <= {(0, k) for k in range(tiles)}
            for row, column in journal.tiles:
                record = journal.read(row, column)
                assert record is None or same(record[0], table(column))
                assert record is None or record[1] == {"focus": column / 3}
                assert (record is None) == ((row, column) not in journal.tiles)
            lost = tiles - len(journal.tiles)
            for k in range(tiles):
                journal.append(0, k, table(k), {"focus": k / 3})
    except RegdataError as error:
        message = error.message
    else:
        assert holds(path, tiles)
        return "made again" if lost else "harmless"
    assert "\n" not in message
    assert "delete" in message
    with Journal.create(path, "key", 4) as journal:
        assert journal.tiles == set()
    assert holds(path, 0)
    return "told"


def test_a_file_cut_anywhere_is_told_or_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, 40)
    content = path.read_bytes()
    outcomes = set()
    for length in [*range(0, 200, 40), *range(200, len(content), 9001), len(content) - 1]:
        path.write_bytes(content[:length])
        outcomes.add(outcome(path, 40))
    assert outcomes == {"told", "made again"}


def test_a_flipped_bit_never_changes_a_tile(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, 12)
    content = bytearray(path.read_bytes())
    places = np.random.default_rng(0).integers(0, len(content), 60)
    outcomes = set()
    # bytes 18 and 19 say who may write: another number there reads as a later SQLite's file
    for place in [*range(18), *range(20, 100, 3), *places.tolist()]:
        content[place] ^= 16
        path.write_bytes(content)
        content[place] ^= 16
        outcomes.add(outcome(path, 12))
    assert outcomes == {"told", "made again", "harmless"}


def test_a_journal_of_the_former_layout_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"regdata tile journal 1\ntile" + bytes(5000))
    write(tmp_path / "x", 2)
    assert holds(tmp_path / "x", 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "is not a tile journal"),
        (bytes(200), "is not a tile journal"),
        ("other database", "is not a tile journal"),
        ("other key", "another slide, model or settings"),
        ("other width", "another slide, model or settings"),
    ],
)
def test_other_files_are_one_clear_line(tmp_path: Path, content: bytes | str, message: str) -> None:
    path = tmp_path / "x"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "other database":
        with closing(sqlite3.connect(path)) as other:
            other.executescript("CREATE TABLE tiles (a); INSERT INTO tiles VALUES (7);")
    else:
        write(path, 2)
    before = path.read_bytes()
    key = "yek" if content == "other key" else "key"
    width = 5 if content == "other width" else 4
    with pytest.raises(RegdataError, match=message) as error:
        Journal.open(path, key, width)
    assert "\n" not in error.value.message
    assert "delete" in error.value.message
    assert path.read_bytes() == before
    with Journal.create(path, key, width) as journal:
        assert journal.tiles == set()
    with Journal.open(path, key, width) as journal:
        assert journal.tiles == set()
    assert os.listdir(tmp_path) == ["x"]


OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import Journal, RegdataError
for start in (Journal.open, Journal.create):
    try:
        start(Path(sys.argv[1]), "key", 4)
    except RegdataError as error:
        print(error.message)
"""


def test_two_cannot_write_at_once(tmp_path: Path) -> None:
    write(tmp_path / "x", 2)
    before = (tmp_path / "x").read_bytes()
    with Journal.open(tmp_path / "x", "key", 4):
        for start in (Journal.open, Journal.create):
            with pytest.raises(RegdataError, match="in use by another run"):
                start(tmp_path / "x", "key", 4)
        command = [sys.executable, "-c", OTHER, str(tmp_path / "x"), str(Path(__file__).parent)]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        assert out.stdout.count("in use by another run") == 2
    assert (tmp_path / "x").read_bytes() == before
    assert holds(tmp_path / "x", 2)


def test_a_file_system_without_locks_still_has_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = journal_file._opened

    def without_locks(uri: str) -> sqlite3.Connection:
        if not uri.endswith("nolock=1"):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_LOCK"
            raise error
        return opened(uri)

    monkeypatch.setattr(journal_file, "_opened", without_locks)
    write(tmp_path / "x y", 2)
    assert holds(tmp_path / "x y", 2)
    assert os.listdir(tmp_path) == ["x y"]


def test_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match="unable to open"):
        Journal.open(tmp_path, "key", 4)


def test_tokens_of_another_length_are_refused(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "x", "key", 4) as journal:
        with pytest.raises(ValueError, match="length 4"):
            journal.append(0, 0, table(0, width=5), {})
        assert journal.tiles == set()
    assert holds(tmp_path / "x", 0)


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import Journal, RegdataError, table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal.open(Path(sys.argv[1]), "key", 4) as journal:
    journal.append(0, 0, table(0), {"focus": 0.0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    try:
        journal.append(0, 1, table(1, 1000), {})
    except RegdataError as error:
        print(error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append(0, 1, table(1), {"focus": 1 / 3})
"""


def test_a_full_disk_is_one_clear_line_and_costs_no_record(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL, str(tmp_path / "x"), str(Path(__file__).parent)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "cannot use the tile journal" in out.stdout, out.stderr[-2000:]
    assert out.stdout.count("\n") == 1
    assert holds(tmp_path / "x", 2)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import Journal, table
made = [table(k, 2000, 64) for k in range(8)]
with Journal.open(Path(sys.argv[1]), "key", 64) as journal:
    print("ready", flush=True)
    for k in range(int(sys.argv[3])):
        if (k, -k) not in journal.tiles:
            journal.append(k, -k, made[k % 8], {"focus": float(k)})
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_writer_loses_no_finished_tile(tmp_path: Path) -> None:
    path, tiles = tmp_path / "x", 150
    made = [table(k, 2000, 64) for k in range(8)]
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent), str(tiles)]
    rng, counts = np.random.default_rng(), []
    for wait in (*rng.uniform(0, 0.03, 5).tolist(), None):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            if wait is not None:
                threading.Event().wait(wait)
                writer.send_signal(signal.SIGKILL)
            writer.wait()
        with Journal.open(path, "key", 64) as journal:
            counts.append(len(journal.tiles))
            assert journal.tiles == {(k, -k) for k in range(counts[-1])}
            for k in range(counts[-1]):
                found = journal.read(k, -k)
                assert found is not None
                assert found[1] == {"focus": float(k)}
                assert same(found[0], made[k % 8])
    assert counts == sorted(counts)
    assert counts[-1] == tiles
