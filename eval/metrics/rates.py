"""Precision, recall and F1 from counts, and their values where the denominator is 0."""

import numpy as np
from numpy.typing import ArrayLike

from regdata.arrays import Floats


def ratio(above: Floats, below: Floats, empty: float = np.nan) -> Floats:
    """Quotient of two float64 arrays of any shapes that broadcast, `empty` where `below` is 0."""
    result: Floats = np.full(np.broadcast_shapes(above.shape, below.shape), empty)
    np.divide(above, below, out=result, where=below > 0)
    return result


def precision_recall_f1(
    hits: ArrayLike,
    predicted: ArrayLike,
    annotated: ArrayLike,
    empty: float = np.nan,
    epsilon: float = 0.0,
) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1: three float64 arrays of the counts' common shape.

    F1 is 2 hits / (predicted + annotated): 0 where cells are on one side only, although one of
    precision and recall is undefined there.

    Parameters
    ----------
    hits, predicted, annotated
        Counts, of shapes that broadcast.
    empty
        Value of 0 / 0.
    epsilon
        Added to every denominator, so that none is 0; F1 is then computed from
        precision and recall.

    Examples
    --------
    >>> [float(rate) for rate in precision_recall_f1(0, 2, 0)]
    [0.0, nan, 0.0]
    """
    tp, of, among = (np.asarray(count, np.float64) for count in (hits, predicted, annotated))
    precision, recall = (ratio(tp, count + epsilon, empty) for count in (of, among))
    if epsilon:
        return precision, recall, 2 * precision * recall / (precision + recall + epsilon)
    return precision, recall, ratio(2 * tp, of + among, empty)


def rates_of(
    hits: int,
    predicted: int,
    annotated: int,
    empty: float | None = None,
    epsilon: float = 0.0,
) -> dict[str, float | None]:
    """Precision, recall and F1 of single counts by name; None where they are undefined.

    Examples
    --------
    >>> rates_of(0, 0, 3)
    {'precision': None, 'recall': 0.0, 'f1': 0.0}
    """
    undefined = np.nan if empty is None else empty
    values = precision_recall_f1(hits, predicted, annotated, undefined, epsilon)
    numbers = (None if np.isnan(value) else float(value) for value in values)
    return dict(zip(("precision", "recall", "f1"), numbers, strict=True))
