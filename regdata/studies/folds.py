"""Images parted into folds, those of one patient or slide together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

_FOLDS = 5


def image_folds(groups: Sequence[str], least: int) -> NDArray[np.int64]:
    """(I,) fold of each image; images of one patient or slide stay together."""
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < least:
        raise RegdataError(
            f"expected images of {least} slides or more to train experts' heads on, got "
            f"{len(names)}"
        )
    filled = np.zeros(min(_FOLDS, len(names)))
    fold = np.zeros(len(names), np.int64)
    for group in np.argsort(-sizes, kind="stable"):  # the largest first, into the emptiest
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return np.asarray(fold[place], np.int64)
