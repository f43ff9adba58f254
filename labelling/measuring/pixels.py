"""The intensities of all pixels of nuclei, packed: what shares above any threshold are counted in.

Each is rounded to 16 significant bits, finer than the levels of any camera, and it is the rounded
ones that are compared with thresholds: a build and a later labelling from its file agree exactly.
A block holds the sorted values of its nuclei as steps from one to the next, which zlib makes small.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Ints

_DROPPED = 8
"""Bits of a float32 that are rounded away, of its 24 significant ones."""
_BYTES = 3
"""What is left of its 32."""
_LEVEL = 1  # of zlib: higher ones save 5 % and take three times as long


@dataclass(frozen=True)
class Block:
    """Pixels of nuclei that were measured together.

    Attributes
    ----------
    rows
        (n,) which of the N nuclei they are.
    area
        (n,) pixels of each.
    packed
        Their intensities.
    """

    rows: Ints
    area: Ints
    packed: bytes

    @classmethod
    def pack(cls, rows: Ints, area: Ints, values: NDArray[np.float32]) -> "Block":
        """A block of intensities, nucleus after nucleus.

        Parameters
        ----------
        rows, area
            (n,) int64, which of the N nuclei they are, and the number of pixels of each.
        values
            (P,) float32, those of each nucleus in ascending order.
        """
        codes = _codes(values)
        steps = np.diff(codes, prepend=np.uint32(0)).astype("<u4")
        planes = steps.view(np.uint8).reshape(-1, 4)[:, :_BYTES].T
        return cls(rows, area, zlib.compress(planes.tobytes(), _LEVEL))

    def values(self) -> NDArray[np.float32]:
        """(P,) the rounded intensities."""
        planes = np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(_BYTES, -1)
        steps = np.zeros((planes.shape[1], 4), np.uint8)
        steps[:, :_BYTES] = planes.T
        codes = np.cumsum(steps.view("<u4")[:, 0], dtype=np.uint32)
        return np.asarray(codes << np.uint32(_DROPPED), np.uint32).view(np.float32)


@dataclass(frozen=True)
class PixelValues:
    """Intensities of all pixels of N nuclei.

    Attributes
    ----------
    blocks
        Which hold every nucleus once.
    """

    blocks: tuple[Block, ...]

    def share(self, threshold: NDArray[np.floating] | float) -> NDArray[np.float32]:
        """Share of the pixels of each nucleus that lie above a threshold.

        Parameters
        ----------
        threshold
            (N,) or one for all.

        Returns
        -------
        array
            (N,) float32, 0 for a nucleus without pixels.

        Examples
        --------
        >>> own = np.arange(20, dtype=np.float32)
        >>> pixels = PixelValues((Block.pack(np.array([0]), np.array([20]), own),))
        >>> pixels.share(16.5).tolist() == [np.float32(3 / 20)]
        True
        """
        count = sum(len(block.rows) for block in self.blocks)
        cut = np.broadcast_to(np.asarray(threshold, np.float32), count)
        out = np.zeros(count, np.float32)
        for block in self.blocks:
            above = block.values() > np.repeat(cut[block.rows], block.area)
            hits = np.concatenate([[0], np.cumsum(above)])
            ends = np.cumsum(block.area)
            stained = hits[ends] - hits[ends - block.area]
            out[block.rows] = stained / np.maximum(block.area, 1)
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that a file keeps.

        `rows` and `area`, (N,), block after block; `blocks`, (B, 2), the number of nuclei and of
        bytes of each block; and those bytes, `packed`, (b,) uint8.
        """
        none: list[NDArray[Any]] = [np.zeros(0, np.int64)]
        sizes = [(len(block.rows), len(block.packed)) for block in self.blocks]
        return {
            "rows": np.concatenate([*none, *(block.rows for block in self.blocks)]),
            "area": np.concatenate([*none, *(block.area for block in self.blocks)]),
            "blocks": np.array(sizes, np.int64).reshape(-1, 2),
            "packed": np.frombuffer(b"".join(block.packed for block in self.blocks), np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "PixelValues":
        """The values that `to_arrays` gave the arrays of."""
        return cls(tuple(_blocks(arrays)))


def _blocks(arrays: Mapping[str, NDArray[Any]]) -> Iterator[Block]:
    nuclei, size = 0, 0
    for count, length in arrays["blocks"].tolist():
        own = slice(nuclei, nuclei + count)
        packed = arrays["packed"][size : size + length].tobytes()
        yield Block(arrays["rows"][own], arrays["area"][own], packed)
        nuclei, size = nuclei + count, size + length


def _codes(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The upper bits of float32, rounded: what is lost of them is less than 8 in a million."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (_DROPPED - 1))
    return np.asarray((bits + half) >> np.uint32(_DROPPED), np.uint32)
