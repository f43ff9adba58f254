"""One finished tile as the columns of a journal's row."""

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable

ARRAYS = {
    "xy": ("<f8", 2),
    "vertices": ("<f4", 2),
    "offsets": ("<i8", None),
    "tokens": ("<f2", 0),
    "kind": ("u1", None),
    "kind_probability": ("<f4", None),
    "probability": ("<f4", None),
    "area_um2": ("<f4", None),
    "flags": ("u1", None),
}
"""Of each array the numbers and the columns; 0 stands for the length of a token."""


def pack(cells: CellTable, scores: Mapping[str, float]) -> list[bytes]:
    """The scores as JSON and the arrays, in the order of `ARRAYS`."""
    text = json.dumps({name: float(value) for name, value in scores.items()})
    arrays = (
        np.ascontiguousarray(getattr(cells, name), kind) for name, (kind, _) in ARRAYS.items()
    )
    return [text.encode(), *(array.tobytes() for array in arrays)]


def unpack(parts: Iterable[bytes], token_width: int) -> tuple[CellTable, dict[str, float]]:
    """Cells and scores of what `pack` made."""
    scores, *arrays = parts
    named = zip(ARRAYS, arrays, strict=True)
    cells = CellTable(**{name: _array(part, name, token_width) for name, part in named})
    return cells, json.loads(scores)


def crc(row: int, column: int, parts: Iterable[bytes]) -> int:
    """CRC-32 of a tile's place and parts."""
    total = zlib.crc32(f"{row} {column}".encode())
    for part in parts:
        total = zlib.crc32(part, total)
    return total


def _array(part: bytes, name: str, token_width: int) -> NDArray[Any]:
    kind, columns = ARRAYS[name]
    array = np.frombuffer(bytearray(part), kind)  # a copy, as what SQLite gives cannot be changed
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array if columns is None else array.reshape(-1, columns or token_width)
