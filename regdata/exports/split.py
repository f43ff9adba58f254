"""Which patients or slides of an export are put aside for testing."""

import numpy as np
from numpy.typing import NDArray

_TRIES = 200


def held_out(group: NDArray[np.str_], share: float, seed: int = 0) -> frozenset[str]:
    """Whole groups that together hold about `share` of the cells.

    The best of 200 random orders; never all groups, and none when there is one group only or
    nothing is to be put aside.

    Parameters
    ----------
    group
        (N,) patient or slide of each cell.
    share
        From 0, below 1.

    Examples
    --------
    >>> sorted(held_out(np.array(["a"] * 8 + ["b"] * 2), 0.2))
    ['b']
    """
    names, counts = np.unique(group, return_counts=True)
    if len(names) < 2 or share <= 0:
        return frozenset()
    rng = np.random.default_rng(seed)
    best, chosen = np.inf, names[:1]
    for _ in range(_TRIES):
        order = rng.permutation(len(names))
        held = np.cumsum(counts[order])[:-1] / counts.sum()
        off = np.abs(held - share)
        if off.min() < best:
            best, chosen = float(off.min()), names[order[: int(off.argmin()) + 1]]
    return frozenset(chosen.tolist())
