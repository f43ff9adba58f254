"""Agreement of labels made from immunofluorescence with the truth of a simulated section."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.rates import precision_recall_f1


@dataclass(frozen=True)
class Agreement:
    """Detection of nuclei, and labels of the detected ones, against the truth.

    Attributes
    ----------
    detected
        F1 of the nuclei, one-to-one within the radius.
    precision, recall
        Of the positive label, among matched nuclei that have a label.
    matched
        Number of matched nuclei.
    unknown
        Share of these that have no label.
    """

    detected: float
    precision: float
    recall: float
    matched: int
    unknown: float


def agreement(
    xy: NDArray[np.float64],
    positive: NDArray[np.bool_],
    true_xy: NDArray[np.float64],
    true_positive: NDArray[np.bool_],
    radius: float,
    known: NDArray[np.bool_] | None = None,
) -> Agreement:
    """Agreement of labelled cells with true nuclei.

    Parameters
    ----------
    xy, true_xy
        (N, 2) and (M, 2) float64, in pixels of one image.
    positive, true_positive
        (N,) and (M,) bool.
    radius
        Largest distance of a pair, pixels.
    known
        (N,) bool, whether the cell has a label; all have by default.

    Examples
    --------
    >>> here = np.array([[0.0, 0.0], [9.0, 0.0]])
    >>> agreement(here, np.array([True, True]), here, np.array([True, False]), 1.0).precision
    0.5
    """
    pairs = match_points(true_xy, xy, radius)
    labelled = np.ones(len(pairs), np.bool_) if known is None else known[pairs[:, 1]]
    truth, label = true_positive[pairs[:, 0]] & labelled, positive[pairs[:, 1]] & labelled
    hits = (truth & label).sum()
    precision, recall, _ = precision_recall_f1(hits, label.sum(), truth.sum(), empty=0.0)
    detected = precision_recall_f1(len(pairs), len(xy), len(true_xy), empty=0.0)[2]
    return Agreement(
        float(detected),
        float(precision),
        float(recall),
        len(pairs),
        1 - float(labelled.mean()) if len(pairs) else 0.0,
    )
