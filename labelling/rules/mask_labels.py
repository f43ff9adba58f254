"""Labels of nuclei from masks that exist already: the share of each that lies inside decides.

A mask has no intensities, so nothing tells how sure a label is: its probability is NaN.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.labelling.rules.classes import decide
from regdata.labelling.rules.labels import LabelRule, Nuclei, place_reasons
from regdata.labelling.rules.reasons import bit
from regdata.labelling.rules.rules import Rule


def state_of(share: NDArray[np.floating], rule: LabelRule) -> NDArray[np.int8]:
    """What one mask says of nuclei, (N,) int8: 1 positive, 0 negative, -1 in between.

    Parameters
    ----------
    share
        (N,) share of each that lies inside the mask.

    Examples
    --------
    >>> share = np.array([0.05, 0.10, 0.15, 0.16])
    >>> state_of(share, LabelRule()).tolist(), state_of(share, LabelRule(legacy=True)).tolist()
    ([0, -1, -1, 1], [0, 0, 1, 1])
    """
    # as float32 on both sides: 3 of 20 pixels are 0.15, and not above it
    found = np.asarray(share, np.float32)
    if rule.legacy:
        return (found >= np.float32(rule.overlap)).astype(np.int8)
    positive = found > np.float32(rule.overlap)
    between = ~positive & (found > np.float32(rule.ambiguous))
    return np.where(between, -1, positive).astype(np.int8)


def label_masked(
    nuclei: Nuclei,
    overlaps: Mapping[str, NDArray[np.floating]],
    classes: Mapping[str, Rule],
    rule: LabelRule,
) -> dict[str, Any]:
    """Label nuclei by their overlaps with masks; see `classes.decide`.

    Parameters
    ----------
    nuclei
        Of the measurements only `red_cells` counts.
    overlaps
        Per marker (N,) share of the nucleus, or of its ring, that lies inside the mask.
    classes
        Per class its rule over the markers.

    Returns
    -------
    dict
        Columns (N,): `label`, `label_probability` (NaN), `reason`, `reasons`, and per marker
        `overlap_`.
    """
    states = {name: state_of(share, rule) for name, share in overlaps.items()}
    between = {
        name: np.where(state < 0, bit("ambiguous"), 0).astype(np.uint16)
        for name, state in states.items()
    }
    place = np.zeros(len(nuclei), np.uint16) if rule.legacy else place_reasons(nuclei, None)
    columns = decide(classes, states, between, overlaps, place, rule.legacy)
    return {
        **columns,
        "label_probability": np.full(len(nuclei), np.nan, np.float32),
        **{f"overlap_{name}": np.asarray(a, np.float32) for name, a in overlaps.items()},
    }
