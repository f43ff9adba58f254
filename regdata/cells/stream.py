"""Rows on their way into a file."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


class Stream:
    """Rows on their way into a file, written by whole chunks.

    A chunk that is written in parts is packed, and read back, once per part.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        dataset.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        self._dataset = dataset
        self._waiting: list[NDArray[Any]] = []

    def append(self, rows: NDArray[Any]) -> None:
        """Add (n, ...) rows, of which only some wait in memory."""
        self._waiting.append(rows)
        chunk = self._dataset.chunks[0]
        count = sum(map(len, self._waiting)) // chunk * chunk
        if count >= 4 * chunk:
            rows = np.concatenate(self._waiting)
            self._write(rows[:count])
            self._waiting = [rows[count:].copy()]

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._write(np.concatenate(self._waiting))
        self._waiting = []

    def _write(self, rows: NDArray[Any]) -> None:
        start = self._dataset.shape[0]
        self._dataset.resize(start + len(rows), axis=0)
        self._dataset[start:] = rows
