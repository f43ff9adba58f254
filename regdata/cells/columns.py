"""Columns of a long table, collected in portions without a data frame per portion."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_BLOCK = 1 << 18  # rows


class Rows:
    """Rows of one array, collected in portions.

    They are copied into large blocks. Many small arrays that live long would lie between the
    large ones that a run makes and drops all the time, and the memory of those could not be given
    back.
    """

    def __init__(self) -> None:
        self._blocks: list[NDArray[Any]] = []
        self._used = 0  # rows of the last block

    def append(self, rows: NDArray[Any]) -> None:
        """Add (n, ...) rows; their type and width may change from one portion to the next."""
        while True:
            if self._blocks and self._fits(rows):
                block = self._blocks[-1]
                count = min(len(rows), len(block) - self._used)
                block[self._used : self._used + count] = rows[:count]
                self._used += count
                rows = rows[count:]
                if len(rows) == 0:
                    return
            if self._blocks:
                self._blocks[-1] = self._blocks[-1][: self._used]
            self._blocks.append(np.empty((_BLOCK, *rows.shape[1:]), rows.dtype))
            self._used = 0

    def array(self) -> NDArray[Any]:
        """(N, ...) all rows in order, of one portion or more."""
        *full, last = self._blocks
        return np.concatenate([*full, last[: self._used]])

    def __len__(self) -> int:
        """Number of rows."""
        return sum(map(len, self._blocks[:-1])) + self._used

    def _fits(self, rows: NDArray[Any]) -> bool:
        block = self._blocks[-1]
        return bool(block.dtype == rows.dtype and block.shape[1:] == rows.shape[1:])


class Columns:
    """Takes portions of columns and makes one data frame of them.

    Parameters
    ----------
    categorical
        Names of the columns that become categories, if they come; a number per row is kept of
        them, not the value.
    """

    def __init__(self, categorical: Collection[str]) -> None:
        self._categorical = frozenset(categorical)
        self._values: dict[str, dict[Any, int]] = {}
        self._portions: list[dict[str, Rows]] = []

    def append(self, count: int, columns: Mapping[str, Any]) -> None:
        """Add `count` rows; a column is an array of that length or one value for all."""
        rows = {name: self._rows(name, value, count) for name, value in columns.items()}
        if not self._portions or self._portions[-1].keys() != rows.keys():
            self._portions.append({name: Rows() for name in rows})
        for name, value in rows.items():
            self._portions[-1][name].append(value)

    def frame(self) -> pd.DataFrame:
        """All rows in order, numbered from 0; a column is empty where a portion had none."""
        frames = [
            pd.DataFrame({name: parts.array() for name, parts in portion.items()})
            for portion in self._portions
        ]
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        for name, values in self._values.items():
            frame[name] = _categories(frame[name], values)
        return frame

    def _rows(self, name: str, value: Any, count: int) -> NDArray[Any]:
        if name in self._categorical:
            return self._numbers(self._values.setdefault(name, {}), value, count)
        rows = np.asarray(value)
        return np.full(count, rows) if rows.ndim == 0 else rows

    def _numbers(self, values: dict[Any, int], value: Any, count: int) -> NDArray[np.int32]:
        """(count,) number of each row's value, -1 where it is missing."""
        if np.ndim(value) == 0:
            number = values.setdefault(value, len(values)) if count else 0
            return np.full(count, number, np.int32)
        places, distinct = pd.factorize(np.asarray(value))
        known = [values.setdefault(one, len(values)) for one in distinct.tolist()]
        numbers: NDArray[np.int32] = np.array([*known, -1], np.int32)[places]
        return numbers


def _categories(numbers: pd.Series, values: Mapping[Any, int]) -> pd.Categorical:
    """Categories in sorted order, of numbers that count values in the order of their arrival."""
    ordered = pd.Series(list(values), dtype=None if values else object).astype("category").cat
    place = np.append(ordered.codes.to_numpy(np.int64), -1)
    codes = place[numbers.fillna(-1).to_numpy(np.int64)]
    return pd.Categorical.from_codes(codes, ordered.categories)
