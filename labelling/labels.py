"""From the overlaps of a nucleus with the markers' masks to its label."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

NEGATIVE = "negative"


def label_cells(
    overlap: Mapping[str, NDArray[np.float32]],
    classes: Mapping[str, Sequence[str]],
    cut_off: float,
) -> NDArray[np.int64]:
    """Label nuclei by the rule of record: positive when the overlap is above the cut-off.

    Parameters
    ----------
    overlap
        Per marker (N,) share of the nucleus inside its mask.
    classes
        Per class the markers any of which makes a nucleus positive.
    cut_off
        0.15 in the published rule; an overlap of just 0.15 is negative.

    Returns
    -------
    array
        (N,) 0 for negative, 1 + k for the k-th class. A nucleus positive for several classes
        takes the one with the largest overlap, the first on a tie.
    """
    score = np.stack([np.max([overlap[m] for m in ms], axis=0) for ms in classes.values()])
    best = score.argmax(0)
    return np.where(score.max(0) > np.float32(cut_off), best + 1, 0)
