"""From what was measured of nuclei to their labels: positive, negative or unknown, and why.

Nothing is read here. The same functions label nuclei when a dataset is built and when it is
labelled again from its file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import BLURRED, EDGE, FOLD, OUTSIDE_IF, PEN
from regdata.labelling.measuring import Measured, lost, out_of_focus
from regdata.labelling.rules.classes import decide
from regdata.labelling.rules.overlap_rule import LabelRule
from regdata.labelling.rules.probability import positive_probability
from regdata.labelling.rules.reasons import bit, summed
from regdata.labelling.rules.rules import Rule
from regdata.labelling.thresholds import Threshold

MOSTLY = 0.5
"""Share of a nucleus that red blood cells or saturation must cover to leave it unknown."""
_AGREES_UM = 0.5  # expected error of a tile whose slides agree
_MANY = 20  # nuclei that say something of a section


@dataclass(frozen=True)
class Nuclei:
    """N nuclei to label.

    Attributes
    ----------
    xy_um
        (N, 2) float64, centroids, µm on the H&E slide.
    radius_um
        (N,) of circles of the same area, µm.
    flags
        (N,) uint8, see `regdata.cells.table.FLAGS`.
    error_um
        (N,) expected error of the registration, µm; NaN where it is not known.
    measured
        Their intensities.
    """

    xy_um: NDArray[np.float64]
    radius_um: NDArray[np.floating]
    flags: NDArray[np.uint8]
    error_um: NDArray[np.floating]
    measured: Measured

    def __len__(self) -> int:
        """Number of nuclei."""
        return len(self.xy_um)


@dataclass(frozen=True)
class Marker:
    """A marker as labels see it.

    Attributes
    ----------
    threshold
        Where it is stained.
    compartment
        `nucleus` or `ring`.
    overlap
        (N,) share of the compartment inside the marker's mask, if it was taken from pixels; else
        it follows from the intensities.
    """

    threshold: Threshold
    compartment: str = "nucleus"
    overlap: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class MarkerState:
    """The state of one marker in N nuclei, and why.

    Attributes
    ----------
    state
        (N,) int8: 1 positive, 0 negative, -1 unknown.
    probability
        (N,) probability of being positive.
    overlap, threshold
        (N,) share of stained pixels and intensity that decided it.
    reasons
        (N,) uint16, why it is unknown.
    """

    state: NDArray[np.int8]
    probability: NDArray[np.float32]
    overlap: NDArray[np.float32]
    threshold: NDArray[np.float32]
    reasons: NDArray[np.uint16]


def place_reasons(nuclei: Nuclei, nuclear: str | None) -> NDArray[np.uint16]:
    """(N,) bits of `reasons`: why nuclei have no label, whatever the markers are.

    Parameters
    ----------
    nuclear
        Name of the nuclear channel; without one, nothing is known of the restained section.
    """
    columns, count = nuclei.measured.columns, len(nuclei)
    if not count:
        return np.zeros(0, np.uint16)
    nothing = np.zeros(count, np.bool_)
    missing = blurred = far = nothing
    if nuclear is not None:
        mean, ring = columns[f"mean_{nuclear}"], columns[f"ring_mean_{nuclear}"]
        missing = lost(mean, nuclei.xy_um)
        blurred = out_of_focus(mean, ring, nuclei.xy_um, nuclei.error_um)
        far = ~(nuclei.error_um <= nuclei.radius_um)  # NaN: nothing tells
    inked = (nuclei.flags & PEN) > 0
    if (
        count >= _MANY and inked.mean() > MOSTLY
    ):  # nobody draws over most of a section: it is the stain
        inked = nothing
    # dense follicles look like folds; where the nuclear stain agrees with the H&E there is none
    folded = ((nuclei.flags & FOLD) > 0) & ~(nuclei.error_um <= _AGREES_UM)
    bad_tile = inked | folded | ((nuclei.flags & BLURRED) > 0)
    return summed(
        {
            "edge": (nuclei.flags & EDGE) > 0,
            "outside_if": (nuclei.flags & OUTSIDE_IF) > 0,
            "tile": bad_tile | blurred,
            "missing": missing,
            "registration": far,
            "red_cells": columns.get("red_cells", nothing) > MOSTLY,
        },
        count,
    )


def marker_state(nuclei: Nuclei, name: str, marker: Marker, rule: LabelRule) -> MarkerState:
    """The state of one marker in the nuclei."""
    columns, part = nuclei.measured.columns, marker.compartment
    threshold = marker.threshold
    at = threshold.surface.at(nuclei.xy_um).astype(np.float32)
    usual = at if threshold.reference is None else threshold.reference.at(nuclei.xy_um)
    share = marker.overlap
    if share is None:
        share = nuclei.measured.share(f"{part}_{name}", at)
    mean = columns[f"{'ring_' if part == 'ring' else ''}mean_{name}"]
    error, radius = nuclei.error_um, nuclei.radius_um
    probability = positive_probability(mean, usual, error, radius)
    state = rule.state(share)
    if rule.legacy:
        return MarkerState(state, probability, share, at, np.zeros(len(nuclei), np.uint16))
    positive = state == 1
    unsure = np.where(positive, probability, 1 - probability) < np.float32(rule.certain)
    own = mean * (1 - columns.get(f"lent_{name}", np.float32(0)))
    alone = positive_probability(own, usual, error, radius)
    reasons = summed(
        {
            "enclosed": np.isnan(mean),
            "saturated": columns.get(f"saturated_{name}", np.zeros(len(mean))) > MOSTLY,
            "spill_over": positive & (probability >= 0.5) & (alone < 0.5),
            "ambiguous": (state == -1) | unsure,
        },
        len(nuclei),
    )
    state = np.where(reasons > 0, -1, positive).astype(np.int8)
    return MarkerState(state, probability, share, at, reasons)


def label_nuclei(
    nuclei: Nuclei,
    markers: Mapping[str, Marker],
    classes: Mapping[str, Rule],
    rule: LabelRule,
    nuclear: str | None,
) -> dict[str, Any]:
    """Columns of labels of nuclei; see `classes.decide`.

    Parameters
    ----------
    classes
        Per class its rule over the markers.
    nuclear
        Name of the nuclear channel.

    Returns
    -------
    dict
        The columns of `decide`, and per marker `overlap_`, `threshold_` and `probability_`.
    """
    states = {name: marker_state(nuclei, name, m, rule) for name, m in markers.items()}
    place = place_reasons(nuclei, nuclear)
    if rule.legacy:
        place &= np.uint16(bit("outside_if"))
    columns = decide(
        classes,
        {name: one.state for name, one in states.items()},
        {name: one.reasons for name, one in states.items()},
        {name: one.probability for name, one in states.items()},
        place,
        rule.legacy,
    )
    for name, one in states.items():
        columns[f"overlap_{name}"] = one.overlap
        columns[f"threshold_{name}"] = one.threshold
        columns[f"probability_{name}"] = one.probability
    return columns
