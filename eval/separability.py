"""Separability of classes of nuclei by their tokens, with a linear classifier."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from regdata.annotated import AnnotatedNuclei
from regdata.cells import MATCH_RADIUS_UM, centroids
from regdata.cellvit.networks import Model
from regdata.errors import RegdataError
from regdata.eval.metrics import match_points
from regdata.eval.segmentation import detect_at

_PENALTY = 1e-4  # best of 1e-4 to 1 by cross-validation over the CoNSeP training images
_ROUNDS = 1000


@dataclass(frozen=True)
class Separability:
    """Recall per class of a linear classifier, on nuclei it was not trained on.

    Attributes
    ----------
    classes
        Numbers of the classes in `type_map` that both parts have.
    recall
        Of each class, among its matched nuclei.
    train, test
        Number of matched nuclei of each class.
    """

    classes: tuple[int, ...]
    recall: tuple[float, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls."""
        return float(np.mean(self.recall))


def token_separability(
    model: Model,
    train: Iterable[AnnotatedNuclei],
    test: Iterable[AnnotatedNuclei],
    mpp: float = 0.25,
    radius_um: float = MATCH_RADIUS_UM,
) -> Separability:
    """Recall per class of a logistic regression on tokens, trained and tested on given images.

    Tokens are those of predicted nuclei; each has the class of the annotated nucleus it is paired
    with, one-to-one within the radius.

    Parameters
    ----------
    mpp
        µm per pixel of all images.
    radius_um
        Largest distance of a pair, µm.

    Raises
    ------
    RegdataError
        Fewer than two classes occur among the matched nuclei of both parts.
    """
    parts = [matched_tokens(model, images, mpp, radius_um) for images in (train, test)]
    return separability(*parts[0], *parts[1])


def matched_tokens(
    model: Model, images: Iterable[AnnotatedNuclei], mpp: float, radius_um: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N, D) float32 tokens and (N,) int64 classes of predicted nuclei.

    They are those paired with an annotated nucleus that has a class.
    """
    tokens = [np.zeros((0, model.config.token_width), np.float32)]
    kinds = [np.zeros(0, np.int64)]
    for image in images:
        if image.kinds is None:
            continue
        _, cells = detect_at(model, image.rgb, mpp)
        pairs = match_points(centroids(image.instances), cells.xy, radius_um / mpp)
        kind = image.kinds[pairs[:, 0]]
        tokens.append(cells.tokens[pairs[kind > 0, 1]].astype(np.float32))
        kinds.append(kind[kind > 0])
    return np.concatenate(tokens), np.concatenate(kinds)


def separability(
    train_tokens: NDArray[np.float32],
    train_kinds: NDArray[np.int64],
    test_tokens: NDArray[np.float32],
    test_kinds: NDArray[np.int64],
) -> Separability:
    """Recall per class of a linear classifier fit on one part and tested on the other.

    Parameters
    ----------
    train_tokens, test_tokens
        (N, D) and (M, D) float32.
    train_kinds, test_kinds
        (N,) and (M,) int64, class of each.
    """
    classes = np.intersect1d(train_kinds, test_kinds)
    if len(classes) < 2:
        raise RegdataError(
            f"expected matched nuclei of two classes in both parts, got {len(classes)}; "
            "give more images with type_map"
        )
    kept = np.isin(train_kinds, classes)
    guess = fit_linear(train_tokens[kept], train_kinds[kept]).predict(test_tokens)
    recall = [float((guess[test_kinds == c] == c).mean()) for c in classes]
    counts = [
        tuple(int((kinds == c).sum()) for c in classes) for kinds in (train_kinds, test_kinds)
    ]
    return Separability(tuple(classes.tolist()), tuple(recall), counts[0], counts[1])


def fit_linear(tokens: NDArray[np.float32], labels: NDArray[np.int64]) -> Pipeline:
    """Logistic regression with an L2 penalty on standardised tokens, all classes weighing alike.

    Parameters
    ----------
    tokens, labels
        (N, D) float32 and (N,) int64.
    """
    # scikit-learn weighs the loss and not the penalty, and has one row of weights for two classes
    classes = len(np.unique(labels))
    strength = 1 / (_PENALTY * len(labels)) / (1 if classes == 2 else 2)
    linear = LogisticRegression(C=strength, class_weight="balanced", max_iter=_ROUNDS)
    return make_pipeline(StandardScaler(), linear).fit(tokens.astype(np.float64), labels)
