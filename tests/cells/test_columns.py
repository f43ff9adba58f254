from typing import Any

import numpy as np
import pandas as pd
import pytest

from regdata.cells.columns import Columns, Rows

CATEGORICAL = ("slide", "label")


def twin(portions: list[tuple[int, dict[str, Any]]]) -> pd.DataFrame:
    """The same with a data frame per portion."""
    frames = []
    for count, columns in portions:
        frame = pd.DataFrame({"row": np.zeros(count)})
        frames.append(frame.assign(**columns).drop(columns="row"))
    whole = pd.concat(frames, ignore_index=True)
    return whole.astype({name: "category" for name in CATEGORICAL if name in whole})


def labels(*names: str) -> np.ndarray[Any, Any]:
    return np.array(names, np.str_)


CASES: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "numbers": [(2, {"a": np.array([1, 2], np.uint8)}), (1, {"a": np.array([3], np.uint8)})],
    "one value for all": [
        (2, {"a": np.float32([1, 2]), "b": 3}),
        (1, {"a": np.float32([4]), "b": 5}),
    ],
    "text": [
        (2, {"slide": "b", "label": labels("x", "a")}),
        (1, {"slide": "a", "label": labels("long")}),
    ],
    "plain text": [(2, {"note": labels("x", "yy")}), (1, {"note": "zzz"})],
    "missing values": [(3, {"label": np.array(["x", None, "y"], object)})],
    "no text at all": [(1, {"label": np.array([None], object)})],
    "categories that are numbers": [(2, {"slide": 7}), (1, {"slide": 3})],
    "no rows": [(0, {"slide": "a", "label": labels(), "a": np.zeros(0)})],
    "some without rows": [(0, {"slide": "z"}), (2, {"slide": "y"})],
    "columns that come and go": [
        (2, {"a": np.float64([1, 2]), "slide": "s"}),
        (1, {"a": np.float64([3])}),
        (1, {"a": np.float64([3]), "slide": "r", "b": np.float32([1])}),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_like_a_frame_per_portion(name: str) -> None:
    columns = Columns(CATEGORICAL)
    for count, portion in CASES[name]:
        columns.append(count, portion)
    pd.testing.assert_frame_equal(columns.frame(), twin(CASES[name]), check_like=True)


def test_what_was_added_may_change_afterwards() -> None:
    columns, values = Columns(()), np.array([1, 2])
    columns.append(2, {"a": values})
    values[:] = 0
    assert columns.frame()["a"].tolist() == [1, 2]


def test_more_rows_than_a_block_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regdata.cells.columns._BLOCK", 5)
    rows = Rows()
    portions = [np.arange(2 * n, dtype=np.float64).reshape(n, 2) for n in (3, 0, 4, 12, 1)]
    for portion in portions:
        rows.append(portion)
    assert len(rows) == 20
    assert np.array_equal(rows.array(), np.concatenate(portions))


def test_no_rows_keep_their_type() -> None:
    rows = Rows()
    rows.append(np.zeros((0, 2), np.float32))
    assert rows.array().shape == (0, 2)
    assert rows.array().dtype == np.float32
