"""A token classifier that travels: how classes differ within slides, and nothing finer.

Tokens tell slides, stains and tissues apart as well as they tell classes, and a class is never
equally frequent on all slides. A classifier fitted to pooled cells therefore learns slides too,
which helps on more slides of the same laboratory and misleads on those of another. Here every
slide is centred between its own classes, and the direction between classes is that of their means,
with the covariance shrunk until only a few numbers are learnt: linear discriminants (Fisher, 1936)
within slides.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from regdata.arrays import Floats
from regdata.cellvit.networks import TokenClassifier
from regdata.errors import RegdataError
from regdata.train.tokens.auroc import auroc_per_class
from regdata.train.tokens.report import Epoch, FitReport
from regdata.train.tokens.splits import Split
from regdata.train.tokens.tokens import check_cells, check_weights

SHRINKAGE = 10.0
"""Weight of a round covariance beside that of the tokens, in units of its mean variance.

Measured on 40 restained fields of colon and CoNSeP: from 3 to 100 the area under the curve on the
other laboratory is within 0.01 of the best; without shrinkage it is 0.1 lower.
"""
_FEWEST = 3  # cells of a class that say something of a slide


def fit_within_slides(
    tokens: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    slides: NDArray[np.str_],
    classes: Sequence[str],
    split: Split,
    weights: NDArray[np.floating[Any]] | None = None,
) -> tuple[TokenClassifier, FitReport]:
    """A classifier of differences within slides, and how well it does on the validation cells.

    Parameters
    ----------
    tokens, labels
        (N, D) and (N,) index into `classes`; any label for cells in neither part of the split.
    slides
        (N,) the slide of each cell.
    weights
        (N,) how much each cell counts where probabilities are calibrated.

    Raises
    ------
    RegdataError
        The arrays do not belong together, or no slide shows a class beside another.
    """
    check_cells(tokens, labels, classes, split)
    check_weights(weights, split)
    train, val = split.train, split.val
    directions, biases = discriminants(tokens[train], labels[train], slides[train], len(classes))
    scores = tokens[train] @ directions + biases
    scale, shift = calibrated(scores, labels[train], None if weights is None else weights[train])
    directions, biases = directions * scale, biases * scale + shift
    log = [log_softmax(tokens[part] @ directions + biases, axis=1) for part in (train, val)]
    losses = [
        -float(np.mean(one[np.arange(len(one)), labels[part]]))
        for one, part in zip(log, (train, val), strict=True)
    ]
    areas = auroc_per_class(np.exp(log[1]), labels[val])
    epoch = Epoch(1, losses[0], losses[1], float(np.nanmean(areas)))
    width = tokens.shape[1]
    as_it_is = np.zeros(width, np.float32), np.ones(width, np.float32)
    report = FitReport.of(([epoch], epoch), as_it_is, areas, classes, labels, split)
    return as_network(directions, biases), report


def discriminants(
    tokens: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    slides: Sequence[str] | NDArray[np.str_],
    classes: int,
    shrinkage: float = SHRINKAGE,
) -> tuple[Floats, Floats]:
    """Weights and biases of the scores that tell classes apart within slides.

    Parameters
    ----------
    tokens
        (N, D).
    labels
        (N,) from 0 on.
    slides
        (N,) the slide of each cell.
    classes
        How many there are, K.

    Returns
    -------
    weights, biases
        (D, K) and (K,) float64; the scores of a token x are x @ weights + biases.

    Raises
    ------
    RegdataError
        A class lies on no slide beside another one.
    """
    width = tokens.shape[1]
    offsets, covariance = np.zeros((classes, width)), np.zeros((width, width))
    mass, centre, total = np.zeros(classes), np.zeros(width), 0.0
    for slide in np.unique(slides):
        on = np.asarray(slides) == slide
        groups = {k: tokens[on & (labels == k)].astype(np.float64) for k in range(classes)}
        groups = {k: cells for k, cells in groups.items() if len(cells) >= _FEWEST}
        if len(groups) < 2:
            continue
        # few cells of one class say little, however many of the others there are
        weight = float(np.exp(np.mean([np.log(len(cells)) for cells in groups.values()])))
        means = {k: cells.mean(axis=0) for k, cells in groups.items()}
        middle = np.mean(list(means.values()), axis=0)
        for k, cells in groups.items():
            offsets[k] += weight * (means[k] - middle)
            mass[k] += weight
            covariance += weight / len(groups) * np.cov(cells.T, bias=True).reshape(width, width)
        centre += weight * middle
        total += weight
    if (mass == 0).any():
        raise RegdataError(
            f"expected a slide with {_FEWEST} cells of each class beside another class, got "
            f"none of class {int(np.flatnonzero(mass == 0)[0])}; train without `robust=True`"
        )
    offsets = np.asarray(offsets / mass[:, None], np.float64)
    covariance = np.asarray(covariance / total, np.float64)
    covariance += shrinkage * np.trace(covariance) / width * np.eye(width)
    weights = np.asarray(np.linalg.solve(covariance, offsets.T), np.float64)
    biases = -(centre / total) @ weights - 0.5 * np.einsum("kd,dk->k", offsets, weights)
    return weights, biases


def calibrated(
    scores: Floats, labels: NDArray[np.integer[Any]], weights: NDArray[np.floating[Any]] | None
) -> tuple[float, Floats]:
    """Scale and biases (K,) that make probabilities of scores: the likeliest of all, given labels.

    Parameters
    ----------
    scores
        (N, K).
    labels
        (N,) from 0 on.
    weights
        (N,) how much each cell counts; None for all the same.
    """
    count, classes = scores.shape
    spread = max(float(scores.std()), 1e-12)
    rows, mass = np.arange(count), np.ones(count) if weights is None else np.asarray(weights, float)

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, shift = values[0] / spread, np.append(0.0, values[1:])
        log = log_softmax(scores * scale + shift, axis=1)
        error = np.exp(log)
        error[rows, labels] -= 1
        error *= (mass / mass.sum())[:, None]
        slope = np.append((error * scores).sum() / spread, error.sum(axis=0)[1:])
        return float(-(mass * log[rows, labels]).sum() / mass.sum()), slope

    best = minimize(loss, np.append(1.0, np.zeros(classes - 1)), jac=True, method="L-BFGS-B").x
    return float(best[0] / spread), np.append(0.0, best[1:])


def as_network(weights: Floats, biases: Floats) -> TokenClassifier:
    """The linear scores x @ weights + biases as the one kind of network that files hold.

    Parameters
    ----------
    weights, biases
        (D, K) and (K,); for standardised tokens.
    """
    width, classes = weights.shape
    network = TokenClassifier(width, 2 * classes, classes, dropout=0.0)
    both = np.concatenate([weights, -weights], axis=1).T
    identity = np.eye(classes)
    state = {
        "fc1.weight": both,  # x = relu(x) - relu(-x)
        "fc1.bias": np.zeros(2 * classes),
        "fc2.weight": np.concatenate([identity, -identity], axis=1),
        "fc2.bias": biases,
    }
    network.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()})
    return network.eval()
