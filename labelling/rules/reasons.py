"""Why a nucleus has no label: the codes, and which of several is reported."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

REASONS = {
    "edge": "cut off by the edge of the H&E slide",
    "outside_if": "off the immunofluorescence slide",
    "tile": "in a tile that is out of focus, folded or under a pen mark, on either slide",
    "missing": "no nuclear stain: lost between the two stainings",
    "registration": "expected registration error above the nucleus's radius, or nothing tells",
    "red_cells": "coloured like red blood cells, which shine in every channel",
    "enclosed": "read in the ring around it, of which its neighbours leave nothing",
    "saturated": "nucleus and surroundings are mostly beyond the camera's range",
    "spill_over": "brighter neighbours explain its light",
    "ambiguous": "overlap or intensity between negative and positive",
    "conflict": "positive for several classes",
}
"""Code and meaning; of several the first is reported."""
NONE = "none"
"""What stands where the label is known."""


def bit(reason: str) -> int:
    """The bit of a reason in a sum of several."""
    return 1 << list(REASONS).index(reason)


def summed(reasons: Mapping[str, NDArray[np.bool_]], count: int) -> NDArray[np.uint16]:
    """(N,) uint16 sum of the bits of all reasons that hold.

    Parameters
    ----------
    reasons
        Per reason (N,) bool, for which nuclei it holds.
    count
        N.
    """
    bits = np.zeros(count, np.uint16)
    for reason, holds in reasons.items():
        bits |= np.where(holds, bit(reason), 0).astype(np.uint16)
    return bits


def first(bits: NDArray[np.uint16]) -> NDArray[np.str_]:
    """(N,) code of the reason that is reported, `none` where no bit is set.

    Parameters
    ----------
    bits
        (N,) uint16, see `summed`.

    Examples
    --------
    >>> first(np.array([0, bit("conflict") + bit("missing")], np.uint16)).tolist()
    ['none', 'missing']
    """
    names = np.array([*REASONS, NONE])
    place = np.full(len(bits), len(REASONS))
    for k in reversed(range(len(REASONS))):
        place[(bits & (1 << k)) > 0] = k
    return np.asarray(names[place], np.str_)
