"""A journal of finished tiles, so that a killed run goes on where it was.

Layout (version 1), little-endian, append-only
----------------------------------------------
head : the line `regdata tile journal 1`, then one record whose payload is JSON: key, token_width.
record : 28 bytes (mark, row, column, length and CRC-32 of the payload, CRC-32 of these) and the
    payload: the number of cells, of contour points and of bytes of scores (3 x uint64), the arrays
    of `CellTable` from the widest to the narrowest number, and the scores as JSON.

What a record holds is in the operating system's hands as soon as `append` returns, so a killed
process loses nothing. Against power failure the file is forced to the disk every `SYNC_RECORDS`
records or `_SYNC_SECONDS` seconds, whichever comes first: forcing each record would cost more than
some tiles do, and what may be lost is some seconds of work.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from regdata.cells import CellTable
from regdata.cellvit.tiles.tile_record import HEADER, Header, crc, pack_cells, unpack_cells
from regdata.errors import RegdataError

try:
    import fcntl
except ModuleNotFoundError:  # Windows: the user sees to it that one run writes at a time
    fcntl = None  # type: ignore[assignment]

SYNC_RECORDS = 64
_SYNC_SECONDS = 5.0

_TITLE = b"regdata tile journal 1\n"


class Journal:
    """Tiles that are done, in a file; open one with `Journal.open` or `Journal.create`.

    Only the places of the records are held in memory. One thread uses a journal at a time, and
    one process: a second one that opens the file gets an error (where the file system has locks).
    """

    def __init__(self, path: Path, file: FileIO, token_width: int) -> None:
        self._path = path
        self._file = file
        self._width = token_width
        self._index: dict[tuple[int, int], tuple[int, Header]] = {}
        self._end = 0
        self._unsynced = 0
        self._synced_at = time.monotonic()

    @classmethod
    def open(cls, path: Path, key: str, token_width: int) -> Self:
        """Go on with the journal at `path`, or start one if there is none.

        Records from the first damaged one on are cut off: their tiles must be done again.

        Parameters
        ----------
        key
            Tells slide, model and settings, for instance a hash of them.
        token_width
            Length of a token.

        Raises
        ------
        RegdataError
            When the file is no journal, has another key or is in use by another process.
        """
        return cls._start(path, key, token_width, anew=False)

    @classmethod
    def create(cls, path: Path, key: str, token_width: int) -> Self:
        """Start anew, whatever is at `path`; parameters and errors as for `open`."""
        return cls._start(path, key, token_width, anew=True)

    @classmethod
    def _start(cls, path: Path, key: str, token_width: int, anew: bool) -> Self:
        head = _head(key, token_width)
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # not "w": what is there must not be emptied before it is locked
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666), "r+")
        try:
            _lock(file, path)
            journal = cls(path, file, token_width)
            with _explained(path):
                found = b"" if anew else file.read(len(head))
                # a beginning of this very head: the run was killed before its first tile
                if len(found) < len(head) and head.startswith(found):
                    journal._begin(head)
                elif found == head:
                    journal._scan(len(head))
                else:
                    raise RegdataError(journal._complaint())
        except BaseException:
            file.close()
            raise
        return journal

    @property
    def tiles(self) -> set[tuple[int, int]]:
        """(row, column) of the tiles that are done."""
        return set(self._index)

    def append(self, row: int, column: int, cells: CellTable, scores: Mapping[str, float]) -> None:
        """Add a tile; one that is there already is replaced."""
        payload = pack_cells(cells, scores, self._width)
        header = Header(row, column, len(payload), crc(payload))
        with _explained(self._path):
            # over what a failed append may have left
            self._write(self._end, header.pack() + payload)
            self._sync_now_and_then()
        self._index[row, column] = (self._end, header)
        self._end += HEADER + len(payload)

    def read(self, row: int, column: int) -> tuple[CellTable, dict[str, float]] | None:
        """The cells and scores of a tile; None if it is not done.

        A record that turns out damaged is forgotten, and None: the tile must be done again.
        """
        if (row, column) not in self._index:
            return None
        start, header = self._index[row, column]
        with _explained(self._path):
            payload = self._read(start + HEADER, header.length)
        if crc(payload) != header.crc:
            del self._index[row, column]
            return None
        return unpack_cells(payload, self._width)

    def close(self) -> None:
        """Force everything to the disk and give the file free."""
        if not self._file.closed:
            with _explained(self._path):
                try:
                    os.fsync(self._file.fileno())
                finally:
                    self._file.close()

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

    def _begin(self, head: bytes) -> None:
        self._file.truncate(0)
        self._write(0, head)
        os.fsync(self._file.fileno())
        self._end = len(head)

    def _scan(self, start: int) -> None:
        """Find the records, and cut off what follows the last good one.

        Headers vouch for themselves. Payloads are read only where they may not have reached the
        disk when the power failed, which is since the last sync.
        """
        places: list[tuple[int, Header]] = []
        size = self._size()
        while header := Header.unpack(self._read(start, HEADER)):
            if start + HEADER + header.length > size:
                break
            places.append((start, header))
            start += HEADER + header.length
        sure = max(0, len(places) - SYNC_RECORDS - 1)
        for i, (place, header) in enumerate(places[sure:], sure):
            if crc(self._read(place + HEADER, header.length)) != header.crc:
                places, start = places[:i], place
                break
        self._index = {(header.row, header.column): (at, header) for at, header in places}
        self._end = start
        self._file.truncate(start)
        # the run before may have been killed between two syncs
        os.fsync(self._file.fileno())

    def _complaint(self) -> str:
        """What is wrong with a file that does not begin as expected."""
        start = len(_TITLE)
        if self._read(0, start) != _TITLE:
            return f"{self._path} is not a tile journal of version 1; move it or delete it"
        header = Header.unpack(self._read(start, HEADER))
        if header is None or crc(self._read(start + HEADER, header.length)) != header.crc:
            return f"{self._path}: the journal's head is damaged; delete the file to start anew"
        return (
            f"{self._path} belongs to a run with another slide, model or settings; repeat that "
            "run's options to go on with it, or delete the file to start anew"
        )

    def _read(self, start: int, length: int) -> bytearray:
        """`length` bytes from `start`, fewer at the end of the file."""
        found = bytearray(min(length, max(0, self._size() - start)))
        view, done = memoryview(found), 0
        self._file.seek(start)
        while done < len(found) and (count := self._file.readinto(view[done:])):
            done += count
        view.release()
        del found[done:]
        return found

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _write(self, start: int, content: bytes) -> None:
        self._file.seek(start)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]

    def _sync_now_and_then(self) -> None:
        self._unsynced += 1
        now = time.monotonic()
        if self._unsynced >= SYNC_RECORDS or now - self._synced_at >= _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._unsynced, self._synced_at = 0, now


_BINARY = getattr(os, "O_BINARY", 0)


def _head(key: str, token_width: int) -> bytes:
    payload = json.dumps({"key": key, "token_width": token_width}).encode()
    return _TITLE + Header(-1, -1, len(payload), crc(payload)).pack() + payload


def _lock(file: FileIO, path: Path) -> None:
    """Keep other processes out until the file is closed, also by a kill."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RegdataError(
            f"{path} is in use by another run; wait for it, or choose another output"
        ) from None
    except OSError:
        # some network file systems have no locks
        return


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A full disk or a missing permission as one clear line."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RegdataError(f"cannot use the tile journal {path}: {reason}") from error
