"""Columns of a long table, collected in portions without a data frame per portion."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
        self._portions: list[dict[str, list[NDArray[Any]]]] = []

    def append(self, count: int, columns: Mapping[str, Any]) -> None:
        """Add `count` rows; a column is an array of that length or one value for all."""
        rows = {name: self._rows(name, value, count) for name, value in columns.items()}
        if not self._portions or self._portions[-1].keys() != rows.keys():
            self._portions.append({name: [] for name in rows})
        for name, value in rows.items():
            self._portions[-1][name].append(value)

    def frame(self) -> pd.DataFrame:
        """All rows in order, numbered from 0; a column is empty where a portion had none."""
        frames = [
            pd.DataFrame({name: np.concatenate(parts) for name, parts in portion.items()})
            for portion in self._portions
        ]
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        for name, values in self._values.items():
            frame[name] = _categories(frame[name], values)
        return frame

    def _rows(self, name: str, value: Any, count: int) -> NDArray[Any]:
        if name in self._categorical:
            return self._numbers(self._values.setdefault(name, {}), value, count)
        # a copy: a view would keep all of what the rows were cut from
        rows = np.array(value)
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
    """Categories in sorted order, of numbers that count the values as they came."""
    ordered = pd.Series(list(values), dtype=None if values else object).astype("category").cat
    place = np.append(ordered.codes.to_numpy(np.int64), -1)
    codes = place[numbers.fillna(-1).to_numpy(np.int64)]
    return pd.Categorical.from_codes(codes, ordered.categories)
