"""One finished tile as bytes; `journal` tells the layout."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable

_HEADER = struct.Struct("<4siiQI")
_SUM = struct.Struct("<I")
_COUNTS = struct.Struct("<QQQ")
_MARK = b"tile"

HEADER = _HEADER.size + _SUM.size
"""Bytes of a header."""

# from the widest to the narrowest number, so that each array lies aligned in the payload
_FIELDS = (
    ("xy", "<f8"),
    ("offsets", "<i8"),
    ("vertices", "<f4"),
    ("kind_probability", "<f4"),
    ("probability", "<f4"),
    ("area_um2", "<f4"),
    ("tokens", "<f2"),
    ("kind", "u1"),
    ("flags", "u1"),
)


def crc(content: bytes | bytearray) -> int:
    """CRC-32 of bytes."""
    return zlib.crc32(content)


@dataclass(frozen=True)
class Header:
    """What stands before a payload.

    Attributes
    ----------
    row, column
        The tile.
    length
        Bytes of the payload.
    crc
        CRC-32 of the payload.
    """

    row: int
    column: int
    length: int
    crc: int

    def pack(self) -> bytes:
        """`HEADER` bytes that vouch for themselves."""
        content = _HEADER.pack(_MARK, self.row, self.column, self.length, self.crc)
        return content + _SUM.pack(crc(content))

    @classmethod
    def unpack(cls, content: bytes | bytearray) -> Self | None:
        """The header in `HEADER` bytes; None if they are too few or damaged."""
        if len(content) != HEADER:
            return None
        mark, row, column, length, payload_crc = _HEADER.unpack_from(content)
        (own,) = _SUM.unpack_from(content, _HEADER.size)
        if mark != _MARK or own != crc(content[: _HEADER.size]):
            return None
        return cls(row, column, length, payload_crc)


def pack_cells(cells: CellTable, scores: Mapping[str, float], token_width: int) -> bytes:
    """The payload of a tile's cells and scores."""
    if cells.tokens.shape[1] != token_width:
        raise ValueError(f"expected tokens of length {token_width}, got {cells.tokens.shape[1]}")
    told = json.dumps({name: float(value) for name, value in scores.items()}).encode()
    counts = _COUNTS.pack(len(cells), len(cells.vertices), len(told))
    arrays = [np.ascontiguousarray(getattr(cells, name), kind) for name, kind in _FIELDS]
    return b"".join([counts, *(array.tobytes() for array in arrays), told])


def unpack_cells(payload: bytearray, token_width: int) -> tuple[CellTable, dict[str, float]]:
    """Cells and scores of a payload; the arrays share its memory."""
    cells, vertices, told = _COUNTS.unpack_from(payload)
    shapes = {
        "xy": (cells, 2),
        "offsets": (cells + 1,),
        "vertices": (vertices, 2),
        "tokens": (cells, token_width),
    }
    arrays = dict(_arrays(payload, [shapes.get(name, (cells,)) for name, _ in _FIELDS]))
    return CellTable(**arrays), json.loads(payload[len(payload) - told :])


def _arrays(
    payload: bytearray, shapes: list[tuple[int, ...]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    start = _COUNTS.size
    for (name, kind), shape in zip(_FIELDS, shapes, strict=True):
        array = np.ndarray(shape, kind, payload, start)
        start += array.nbytes
        yield name, array.astype(array.dtype.newbyteorder("="), copy=False)
