"""What builds from masks share when they finish a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from numpy.typing import NDArray


def one_sided(counts: Mapping[str, int], what: str) -> list[str]:
    """A warning where training would have nothing to tell apart.

    Parameters
    ----------
    counts
        Cells per label, negative first and unknown last.
    what
        The mask or folder.
    """
    empty = [name for name in list(counts)[:-1] if counts[name] == 0]
    if not empty:
        return []
    return [f"no cell is {' or '.join(empty)}: are the masks of {what} those of its H&E images?"]


def name_codes(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Turn columns of numbers in a file of cells into categories.

    Names of millions of cells are not held in memory that way.

    Parameters
    ----------
    columns
        Per column the names that its numbers 0, 1, ... stand for.
    """
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        for name, names in columns.items():
            codes: NDArray[np.int64] = obs[name][:]
            del obs[name]
            write_elem(obs, name, pd.Categorical.from_codes(codes, list(names)))
