"""Classifiers whose classes are called as often as they should be.

Stain and tissue of another laboratory shift all scores of a classifier; where classes are as
frequent as they were in training, the shift is known.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.cellvit.networks import Classifier, TokenClassifier

_ROUNDS = 200  # of adjusting biases to shares, in ever smaller steps
_LEAST = 1e-4  # share below which a class is as good as absent


def calling(
    classifier: Classifier, shares: Sequence[float], tokens: NDArray[np.floating[Any]]
) -> Classifier:
    """The same classifier with biases by which each class is called as often as it should be.

    Parameters
    ----------
    shares
        (K,) of the classes, summing to 1.
    tokens
        (N, D) cells of the slides that it will be used on.
    """
    wanted = np.asarray(shares, np.float64)
    logits = np.log(np.maximum(classifier.predict(tokens).astype(np.float64), 1e-30))
    shift = np.zeros(len(wanted))
    for step in np.geomspace(1.0, 0.01, _ROUNDS):
        called = np.bincount((logits + shift).argmax(axis=1), minlength=len(wanted))
        shift += step * np.log((wanted + _LEAST) / (called / len(tokens) + _LEAST))
    info = classifier.info
    network = TokenClassifier(info.token_width, info.hidden, len(wanted), info.dropout)
    network.load_state_dict(classifier.network.state_dict())
    with torch.no_grad():
        network.fc2.bias.add_(torch.from_numpy(shift.astype(np.float32)))
    return Classifier(network.eval(), info)


def as_frequent(classifier: Classifier, tokens: NDArray[np.floating[Any]]) -> Classifier:
    """A classifier that calls its classes as often on (N, D) tokens as they were in training."""
    counts: Any = classifier.info.training["train_cells"]
    cells = np.array([counts[name] for name in classifier.info.classes], float)
    return calling(classifier, (cells / cells.sum()).tolist(), tokens)
