"""Reading a box out of one image of a TIFF file, decoding only the tiles or strips it touches."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFileError

from regdata.errors import RegdataError
from regdata.slides.slide import Box

Segment = NDArray[Any]
# What tifffile and its codecs raise for data that are not what the tags promise.
DAMAGE = (
    TiffFileError, OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError,
    ArithmeticError, NotImplementedError, EOFError,
)  # fmt: skip
_CACHE_BYTES = 64 * 2**20  # two rows of 512 px RGB tiles of a slide 40,000 px wide


class SegmentCache:
    """The tiles decoded last, so that neighbouring regions do not decode their seam twice."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[Path, int], Segment] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, int]) -> Segment | None:
        """The segment kept under `key`, if it still is."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: tuple[Path, int], segment: Segment) -> None:
        """Keep a segment, dropping the ones used longest ago beyond the limit."""
        with self._lock:
            if key in self._held or segment.nbytes > self._limit // 2:
                return
            self._held[key] = segment
            self._bytes += segment.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1].nbytes


@dataclass(kw_only=True, frozen=True, eq=False)
class TiffImage:
    """One image (page or SubIFD) of a TIFF file, readable after the file was closed.

    Opening the file anew for every read costs microseconds and lets threads read side by side.

    Attributes
    ----------
    path
        The file.
    size
        (w, h).
    samples
        Values per pixel.
    planar
        Whether each sample has segments of its own.
    segment
        (w, h) of a tile; a strip is a tile as wide as the image.
    offsets, counts
        Where each segment's bytes lie in the file; count 0: not stored.
    decode
        Turns the bytes of a segment into pixels, (1, h, w, samples of the segment).
    mapped
        Type of the stored pixels when they lie in the file as they are, uncompressed and in
        order from the first offset; None otherwise.
    """

    path: Path
    size: tuple[int, int]
    samples: int
    planar: bool
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    decode: Callable[[bytes, int], Segment]
    mapped: np.dtype[Any] | None

    @property
    def end(self) -> int:
        """Offset in bytes of the end of the image's data in the file."""
        if self.mapped is not None:
            width, height = self.size
            return self.offsets[0] + width * height * self.samples * self.mapped.itemsize
        return max(map(sum, zip(self.offsets, self.counts, strict=True)), default=0)

    def read(
        self, box: Box, samples: tuple[int, ...], fill: int, cache: SegmentCache
    ) -> NDArray[Any]:
        """Pixels of a box, (len(samples), h, w).

        Parameters
        ----------
        box
            Inside the image.
        samples
            Which to read.
        fill
            What stands for tiles that are not stored.
        cache
            Where decoded tiles are kept.

        Returns
        -------
        array
            (len(samples), h, w).

        Raises
        ------
        RegdataError
            When the file is damaged there.
        """
        try:
            if self.mapped is not None:
                return self._map(self.mapped, box, samples)
            return self._assemble(box, samples, fill, cache)
        except DAMAGE as problem:
            raise RegdataError(
                f"{self.path} is truncated or damaged ({problem}); copy or export it again"
            ) from problem

    def _map(self, stored: np.dtype[Any], box: Box, samples: tuple[int, ...]) -> NDArray[Any]:
        width, height = self.size
        planes = (self.samples, height, width)
        shape = planes if self.planar else (height, width, self.samples)
        whole = np.memmap(self.path, stored, "r", self.offsets[0], shape)
        rows, columns = slice(box.y, box.y + box.h), slice(box.x, box.x + box.w)
        part = whole[:, rows, columns] if self.planar else whole[rows, columns].transpose(2, 0, 1)
        return np.asarray(part[list(samples)]).astype(stored.newbyteorder("="))

    def _assemble(
        self, box: Box, samples: tuple[int, ...], fill: int, cache: SegmentCache
    ) -> NDArray[Any]:
        out: NDArray[Any] | None = None
        with self.path.open("rb") as file:
            for index, x, y, stored, shown in self._touched(box, samples):
                segment = self._segment(file, index, cache)
                if segment is None:
                    continue
                if out is None:
                    out = np.full((len(samples), box.h, box.w), fill, segment.dtype)
                h, w = segment.shape[1:3]
                y0, y1 = max(y, box.y), min(y + h, box.y + box.h)
                x0, x1 = max(x, box.x), min(x + w, box.x + box.w)
                part = segment[0, y0 - y : y1 - y, x0 - x : x1 - x][..., stored]
                rows, columns = slice(y0 - box.y, y1 - box.y), slice(x0 - box.x, x1 - box.x)
                out[shown, rows, columns] = part.transpose(2, 0, 1)
        # nothing stored here at all; the caller's type is wider or the same
        return np.full((len(samples), box.h, box.w), fill, np.uint8) if out is None else out

    def _touched(
        self, box: Box, samples: tuple[int, ...]
    ) -> Iterator[tuple[int, int, int, list[int], list[int]]]:
        """Segments a box needs: index, x, y of its corner, samples in it, where they go."""
        across, down = (
            -(-side // part) for side, part in zip(self.size, self.segment, strict=True)
        )
        everything = list(range(len(samples)))
        wanted = [(s, [0], [k]) for k, s in enumerate(samples)]
        if not self.planar:
            wanted = [(0, list(samples), everything)]
        w, h = self.segment
        for plane, stored, shown in wanted:
            for row in range(box.y // h, -(-(box.y + box.h) // h)):
                for column in range(box.x // w, -(-(box.x + box.w) // w)):
                    index = (plane * down + row) * across + column
                    yield index, column * w, row * h, stored, shown

    def _segment(self, file: BinaryIO, index: int, cache: SegmentCache) -> Segment | None:
        offset, count = self.offsets[index], self.counts[index]
        if not count or not offset:
            return None
        key = (self.path, offset)
        segment = cache.get(key)
        if segment is None:
            file.seek(offset)
            data = file.read(count)
            if len(data) < count:
                raise EOFError(f"{count - len(data)} bytes missing at its end")
            segment = self.decode(data, index)
            cache.put(key, segment)
        return segment
