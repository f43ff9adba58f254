"""The SQLite file of a journal: opened for one run alone, checked, its errors in plain words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regdata.cellvit.tiles.tile_record import ARRAYS
from regdata.errors import RegdataError

_KIND = 0x72746A32
"""SQLite's `application_id` of such files."""
_FORMER_TITLE = b"regdata tile journal 1\n"

# What an empty transaction locks stays locked until the file is closed, also by a kill.
_LOCK = """
PRAGMA page_size = 16384;
PRAGMA locking_mode = EXCLUSIVE;
BEGIN EXCLUSIVE;
COMMIT;
"""
# A write-ahead log (WAL) outlives a kill without forcing every tile to the disk. Network file
# systems lack the shared memory that it normally needs; SQLite does without where the lock is
# exclusive from the start (sqlite.org/wal.html, "Use of WAL Without Shared-Memory").
_LOG = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
_TABLES = f"""
BEGIN;
PRAGMA application_id = {_KIND};
CREATE TABLE run (key TEXT NOT NULL, token_width INTEGER NOT NULL);
CREATE TABLE tiles (
    row INTEGER, "column" INTEGER, crc INTEGER, scores BLOB, {", ".join(ARRAYS)},
    PRIMARY KEY (row, "column")
);
"""
_NO_LOCKS = ("SQLITE_IOERR_LOCK", "SQLITE_IOERR_RDLOCK")
_NOT_OF_THE_FILE = ("BUSY", "CANTOPEN", "FULL", "IOERR", "NOMEM", "PERM", "READONLY")


def locked(path: Path) -> sqlite3.Connection:
    """The file of a journal, opened for us alone; made empty if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uri = path.absolute().as_uri()
    try:
        return _opened(uri)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname not in _NO_LOCKS:
            raise
        # some network file systems have no locks: the user sees to it that one run writes at a time
        return _opened(f"{uri}?nolock=1")


def _opened(uri: str) -> sqlite3.Connection:
    file = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        file.executescript(_LOCK)
    except BaseException:
        file.close()
        raise
    return file


def continued(path: Path, key: str, token_width: int) -> sqlite3.Connection:
    """The file of this run's journal; an empty one is begun."""
    file = locked(path)
    try:
        _check(path, file, key, token_width)
        file.executescript(_LOG)
    except BaseException:
        file.close()
        raise
    return file


def _begin(file: sqlite3.Connection, key: str, token_width: int) -> None:
    file.executescript(_TABLES)
    file.execute("INSERT INTO run VALUES (?, ?)", (key, token_width))
    file.execute("COMMIT")


def _check(path: Path, file: sqlite3.Connection, key: str, token_width: int) -> None:
    """Begin an empty file; raise if it is not the journal of this run."""
    if not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        _begin(file, key, token_width)
    elif file.execute("PRAGMA application_id").fetchone()[0] != _KIND:
        raise RegdataError(_foreign(path))
    elif file.execute("SELECT key, token_width FROM run").fetchall() != [(key, token_width)]:
        raise RegdataError(
            f"{path} belongs to a run with another slide, model or settings; repeat that "
            "run's options to go on with it, or delete the file to start anew"
        )
    # a tile written into a damaged file could be lost; damage inside a tile is left to its CRC
    elif file.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise sqlite3.DatabaseError("its pages do not fit together")


def is_former(path: Path) -> bool:
    """Whether a file is a journal from before it was SQLite; its tiles are done again."""
    # never called for SQLite's own files: to close one gives up every lock this process has on it
    with path.open("rb") as file:
        return file.read(len(_FORMER_TITLE)) == _FORMER_TITLE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error tells of what is in the file, not of the disk or another run."""
    return _name(error) not in _NOT_OF_THE_FILE


def _name(error: sqlite3.Error) -> str:
    """The first word of an error, as BUSY of SQLITE_BUSY_SNAPSHOT."""
    return getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").split("_")[0]


def _foreign(path: Path) -> str:
    return f"{path} is not a tile journal; move it or delete it"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A full disk, a missing permission, damage or a second run as one clear line."""
    try:
        yield
    except sqlite3.Error as error:
        if _name(error) == "BUSY":
            message = f"{path} is in use by another run; wait for it, or choose another output"
        elif _name(error) == "NOTADB":
            message = _foreign(path)
        elif is_damage(error):
            message = f"the tile journal {path} is damaged; delete the file to start anew"
        else:
            message = f"cannot use the tile journal {path}: {error}"
        raise RegdataError(message) from error
    except OSError as error:
        raise RegdataError(f"cannot use the tile journal {path}: {error.strerror}") from error
