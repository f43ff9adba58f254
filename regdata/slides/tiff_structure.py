"""Checking that nothing of a TIFF file's directories lies beyond its end."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from regdata.errors import RegdataError

# description, segment offsets and sizes, SubIFDs, JPEG tables, ImageJ's labels
_NEEDED = {270, 273, 279, 324, 325, 330, 347, 50838, 50839}
_SUBIFDS = 330
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
          13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip


@dataclass(frozen=True)
class _Dialect:
    """How numbers are stored: classic TIFF or BigTIFF, either byte order."""

    order: str
    big: bool

    def number(self, raw: bytes) -> int:
        codes = {2: "H", 4: "I", 8: "Q"}
        return int(struct.unpack(self.order + codes[len(raw)], raw)[0])

    @property
    def offset(self) -> int:
        return 8 if self.big else 4

    @property
    def tally(self) -> int:
        """Bytes of the number of tags."""
        return 8 if self.big else 2

    @property
    def entry(self) -> int:
        return 20 if self.big else 12


def check_complete(path: Path) -> None:
    """Refuse a TIFF whose pages, or what they need to be read, lie beyond the end of the file.

    A reader would quietly show fewer pages or levels, or pages without their names.

    Raises
    ------
    RegdataError
        When the file is truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            for end in _ends(file):
                if end > size:
                    raise EOFError(f"{end - size} bytes or more missing at its end")
        except (EOFError, struct.error, KeyError) as problem:
            raise RegdataError(
                f"{path} is a truncated or damaged TIFF ({problem}); copy or export it again"
            ) from problem


def _ends(file: BinaryIO) -> Iterator[int]:
    """Where each directory and each value that is needed ends."""
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    dialect = _Dialect(order, struct.unpack(order + "H", _exactly(file, 2))[0] == 43)
    if dialect.big:
        _exactly(file, 4)
    waiting, visited = [dialect.number(_exactly(file, dialect.offset))], {0}
    while waiting:
        place = waiting.pop()
        if place in visited:
            continue
        visited.add(place)
        file.seek(place)
        tags = dialect.number(_exactly(file, dialect.tally))
        entries = _exactly(file, tags * dialect.entry)
        waiting.append(dialect.number(_exactly(file, dialect.offset)))
        for k in range(tags):
            entry = entries[k * dialect.entry : (k + 1) * dialect.entry]
            end, children = _value(file, entry, dialect)
            yield end
            waiting += children


def _value(file: BinaryIO, entry: bytes, dialect: _Dialect) -> tuple[int, list[int]]:
    """Where the value of a tag ends, 0 if it is of no matter, and the SubIFDs it names."""
    code, kind = dialect.number(entry[:2]), dialect.number(entry[2:4])
    if code not in _NEEDED or kind not in _BYTES:
        return 0, []
    length = dialect.number(entry[4 : -dialect.offset]) * _BYTES[kind]
    inline = entry[-dialect.offset :]
    end = 0 if length <= dialect.offset else dialect.number(inline) + length
    if code != _SUBIFDS:
        return end, []
    if end:
        file.seek(end - length)
    raw = _exactly(file, length) if end else inline[:length]
    step = _BYTES[kind]
    return end, [dialect.number(raw[k : k + step]) for k in range(0, length, step)]


def _exactly(file: BinaryIO, count: int) -> bytes:
    raw = file.read(count)
    if len(raw) < count:
        raise EOFError("a directory of pages lies beyond its end")
    return raw
