"""Exact area under the ROC curve."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def auroc(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float:
    """Probability that a random positive scores above a random negative; ties count half.

    Exact: equal areas are equal to the last bit, which the choice among epochs needs. Sums of
    trapezia, as in scikit-learn, gave more than one value for 95 of 167 areas.

    Parameters
    ----------
    scores, positive
        (N,) float and (N,) bool.

    Returns
    -------
    float
        0 to 1; NaN when either kind is missing.

    Examples
    --------
    >>> import numpy as np
    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def auroc_per_class(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """(K,) float64, AUROC of each class against the rest; NaN where one of both is missing.

    Parameters
    ----------
    probabilities, labels
        (N, K) float and (N,) int, class of each cell.
    """
    classes = range(probabilities.shape[1])
    return np.array([auroc(probabilities[:, c], labels == c) for c in classes])
