"""Labels of nuclei from masks that exist already: the share of each that lies inside decides.

A mask has no intensities, so nothing tells how sure a label is: its probability is NaN.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.labelling.measuring import polygons
from regdata.labelling.rules.classes import decide
from regdata.labelling.rules.labels import Nuclei, place_reasons
from regdata.labelling.rules.overlap_rule import LabelRule
from regdata.labelling.rules.reasons import bit
from regdata.labelling.rules.rules import Rule


def label_masked(
    nuclei: Nuclei,
    overlaps: Mapping[str, NDArray[np.floating]],
    classes: Mapping[str, Rule],
    rule: LabelRule,
) -> dict[str, Any]:
    """Columns of labels of nuclei, by their overlaps with masks; see `classes.decide`.

    Parameters
    ----------
    nuclei
        N nuclei; of their measurements only `red_cells` counts.
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
    states = {name: rule.state(share) for name, share in overlaps.items()}
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


def transfer(
    contours: NDArray[np.int32],
    offsets: NDArray[np.int64],
    mask: NDArray[np.generic],
    rule: LabelRule,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels of the nuclei of one tile from the tile's mask.

    Parameters
    ----------
    contours
        (V, 2) x, y indices of pixels; what lies outside the tile counts neither way.
    offsets
        (N + 1,) nucleus i owns contours[offsets[i]:offsets[i + 1]].
    mask
        (H, W) boolean, 0/1 or 0/255: what is not 0 is stained.

    Returns
    -------
    positive, share
        (N,) bool and float64.

    Examples
    --------
    >>> square = np.array([[0, 0], [3, 0], [3, 4], [0, 4]], np.int32)  # 20 pixels
    >>> mask = np.zeros((8, 8), np.uint8)
    >>> mask[0, :3] = 255
    >>> [transfer(square, np.array([0, 4]), mask, LabelRule(legacy=old)) for old in (False, True)]
    [(array([False]), array([0.15])), (array([ True]), array([0.15]))]
    """
    h, w = mask.shape
    pixels = polygons(np.asarray(contours, np.int32), offsets, (w, h))
    stained = np.concatenate([[0], np.cumsum((mask != 0).reshape(-1)[pixels.pixels])])
    hits = stained[pixels.offsets[1:]] - stained[pixels.offsets[:-1]]
    share = hits / np.maximum(pixels.area, 1)
    return (rule.state(share) == 1) & (pixels.area > 0), share
