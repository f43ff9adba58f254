"""A journal of finished tiles, so that a killed run goes on where it was.

An SQLite file with a row per tile: its place, the arrays of its `CellTable`, its scores as JSON and
a CRC-32 of these, because SQLite notices damage to its own pages alone. Each tile is a transaction
of its own, so a killed process loses none that is done. A power failure costs those since the
file was last forced to the disk, every 16 MB: forcing each tile took up to 15 ms on a busy disk.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from regdata.cells import CellTable
from regdata.cellvit.tiles.journal_file import continued, explained, is_damage, is_former, locked
from regdata.cellvit.tiles.tile_record import ARRAYS, crc, pack, unpack

_INSERT = f"INSERT OR REPLACE INTO tiles VALUES ({', '.join('?' * (4 + len(ARRAYS)))})"
_SELECT = f'SELECT crc, scores, {", ".join(ARRAYS)} FROM tiles WHERE row = ? AND "column" = ?'


class Journal:
    """Tiles that are done, in a file; open one with `Journal.open` or `Journal.create`.

    Only the places of the tiles are held in memory. One thread uses a journal at a time, and one
    process: a second one that opens the file gets an error (where the file system has locks).
    """

    def __init__(self, path: Path, file: sqlite3.Connection, token_width: int) -> None:
        self._path = path
        self._file = file
        self._width = token_width
        try:
            places = file.execute('SELECT row, "column" FROM tiles').fetchall()
        except sqlite3.DatabaseError:
            file.close()
            raise
        self._tiles: set[tuple[int, int]] = set(places)

    @classmethod
    def open(cls, path: Path, key: str, token_width: int) -> Self:
        """Go on with the journal at `path`, or start one if there is none.

        Parameters
        ----------
        key
            Tells slide, model and settings, for instance a hash of them.
        token_width
            Length of a token.

        Raises
        ------
        RegdataError
            When the file is no journal, is damaged, has another key or is in use by another
            process.
        """
        with explained(path):
            try:
                file = continued(path, key, token_width)
            except sqlite3.DatabaseError as error:
                if not (is_damage(error) and is_former(path)):
                    raise
                return cls.create(path, key, token_width)
            return cls(path, file, token_width)

    @classmethod
    def create(cls, path: Path, key: str, token_width: int) -> Self:
        """Start anew, whatever is at `path`; parameters and errors as for `open`."""
        with explained(path):
            try:
                locked(path).close()  # raises if another run holds it
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            _remove(path)
            return cls(path, continued(path, key, token_width), token_width)

    @property
    def tiles(self) -> set[tuple[int, int]]:
        """(row, column) of the tiles that are done."""
        return set(self._tiles)

    def append(self, row: int, column: int, cells: CellTable, scores: Mapping[str, float]) -> None:
        """Add a tile; one that is there already is replaced."""
        if cells.tokens.shape[1] != self._width:
            raise ValueError(
                f"expected tokens of length {self._width}, got {cells.tokens.shape[1]}"
            )
        parts = pack(cells, scores)
        with explained(self._path):
            self._file.execute(_INSERT, (row, column, crc(row, column, parts), *parts))
        self._tiles.add((row, column))

    def read(self, row: int, column: int) -> tuple[CellTable, dict[str, float]] | None:
        """The cells and scores of a tile; None if it is not done.

        A record that turns out damaged is forgotten, and None: the tile must be done again.
        """
        if (row, column) not in self._tiles:
            return None
        with explained(self._path):
            parts = _parts(self._file, row, column)
        if parts is None:
            self._tiles.remove((row, column))
            return None
        return unpack(parts, self._width)

    def close(self) -> None:
        """Give the file free."""
        with explained(self._path):
            self._file.close()

    def discard(self) -> None:
        """Close the journal and remove it."""
        self.close()
        _remove(self._path)

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _remove(path: Path) -> None:
    """Remove a journal with what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _parts(file: sqlite3.Connection, row: int, column: int) -> list[bytes] | None:
    """Scores and arrays of a tile as they were written; None if they are damaged."""
    try:
        record = file.execute(_SELECT, (row, column)).fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return None
    total, *parts = record or (None,)
    if not parts or not all(isinstance(part, bytes) for part in parts):
        return None
    return parts if crc(row, column, parts) == total else None
