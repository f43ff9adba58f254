"""From the state of every marker in a nucleus to its class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.labelling.rules.reasons import bit, first
from regdata.labelling.rules.rules import Rule
from regdata.names import NEGATIVE, UNKNOWN


def decide(
    classes: Mapping[str, Rule],
    states: Mapping[str, NDArray[np.int8]],
    why: Mapping[str, NDArray[np.uint16]],
    chances: Mapping[str, NDArray[np.floating]],
    place: NDArray[np.uint16],
    legacy: bool = False,
) -> dict[str, Any]:
    """Columns of labels of N nuclei, from the state of each marker.

    A nucleus takes the one class whose rule holds; where none holds it is negative, where that is
    undecided (Kleene's logic) or several hold, unknown. The published rule leaves none unknown:
    of several classes the likeliest is taken, the first of equals.

    Parameters
    ----------
    classes
        Per class its rule over the markers.
    states
        Per marker (N,) 1 positive, 0 negative, -1 unknown.
    why
        Per marker (N,) bits of `reasons`, why it is unknown.
    chances
        Per marker (N,) probability that it is positive.
    place
        (N,) bits of `reasons` that hold whatever the markers say.

    Returns
    -------
    dict
        Columns (N,): `label`, `label_probability` (NaN where unknown), `reason` and `reasons`.
    """
    state = np.stack([r.evaluate(states) for r in classes.values()])
    chance = np.stack([r.probability(chances) for r in classes.values()])
    positives = (state == 1).sum(0)
    bits = place.copy()
    if not legacy:
        bits |= np.where(positives > 1, bit("conflict"), 0).astype(np.uint16)
        undecided = (positives == 0) & (state == -1)
        for rule, open_ in zip(classes.values(), undecided, strict=True):
            for name in rule.markers:
                bits |= np.where(open_, why[name], 0).astype(np.uint16)
    best = np.where(state == 1, chance, -1).argmax(0)
    index = np.where(positives > 0, best + 1, 0)
    none = np.prod(1 - chance, axis=0)
    sure = np.where(index > 0, chance[best, np.arange(len(bits))], none)
    names = np.array([NEGATIVE, *classes, UNKNOWN])
    known = bits == 0
    return {
        "label": names[np.where(known, index, len(names) - 1)],
        "label_probability": np.where(known, sure, np.nan).astype(np.float32),
        "reason": first(bits),
        "reasons": bits,
    }
