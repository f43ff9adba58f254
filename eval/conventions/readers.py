"""Agreement of several readers of the same images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regdata.errors import RegdataError
from regdata.eval.conventions.point_scores import score_points


def fleiss_kappa(votes: NDArray[np.int64]) -> float | None:
    """Agreement of several readers beyond chance (Fleiss, 1971).

    Parameters
    ----------
    votes
        (N, K) int64, number of readers who gave each cell each class; the same number of
        readers for every cell.

    Returns
    -------
    float or None
        None without cells, of one reader, or where all votes are for one class.

    Examples
    --------
    >>> fleiss_kappa(np.array([[3, 0], [0, 3]]))
    1.0
    """
    readers = np.unique(votes.sum(axis=1))
    if len(readers) > 1:
        raise RegdataError(
            f"expected the same number of readers for every cell, got {readers.min()} to "
            f"{readers.max()}"
        )
    if len(readers) == 0 or readers[0] < 2:
        return None
    count = int(readers[0])
    agreed = float(((votes**2).sum(axis=1) - count).mean()) / (count * (count - 1))
    share = votes.sum(axis=0) / votes.sum()
    chance = float(share @ share)
    return (agreed - chance) / (1 - chance) if chance < 1 else None


def reader_f1(readers: Sequence[ArrayLike], **conventions: Any) -> dict[str, Any]:
    """F1 of every reader's points against those of each other reader.

    Parameters
    ----------
    readers
        One table for each, (N, 4) float, image, x, y, class.
    conventions
        As of `score_points` with the preset regdata, whose F1 is the same either way round.

    Returns
    -------
    dict
        `mean_f1` and `detection`: R x R as nested lists, None on the diagonal; `per_reader`:
        mean of each row of both, None without a value.
    """
    count = len(readers)
    tables = [np.asarray(reader, np.float64).reshape(-1, 4) for reader in readers]
    given: dict[str, list[list[float | None]]] = {
        name: [[None] * count for _ in readers] for name in ("mean_f1", "detection")
    }
    for i in range(count):
        for j in range(i + 1, count):
            named = tables[j][tables[j][:, 3] >= 0]
            predicted = np.column_stack([named, np.ones(len(named))])
            scores = score_points(tables[i], predicted, draws=0, chance_draws=0, **conventions)
            values = {"mean_f1": scores["mean_f1"], "detection": scores["detection"]["f1"]}
            for name, value in values.items():
                given[name][i][j] = given[name][j][i] = value
    rows = [{name: _mean(given[name][i]) for name in given} for i in range(count)]
    return {**given, "per_reader": rows}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
