"""How well a linear classifier tells classes of nuclei apart by their tokens."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.annotated import AnnotatedNuclei, centres
from regdata.cellvit.networks import Model
from regdata.errors import RegdataError
from regdata.eval.metrics import match_points
from regdata.eval.segmentation import detect_at

_PENALTY = 1e-4  # best of 1e-4 to 1 by cross-validation over the CoNSeP training images
_ROUNDS = 300


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
    radius_um: float = 3.0,
) -> Separability:
    """Train logistic regression on the tokens of some images and try it on others.

    Tokens are those of found nuclei; each has the class of the annotated nucleus it is paired
    with, one-to-one within the radius.

    Parameters
    ----------
    mpp
        µm per pixel of all images.

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
    """Tokens (N, D) and classes (N,) of found nuclei that are paired with one of a class."""
    tokens = [np.zeros((0, model.config.token_width), np.float32)]
    kinds = [np.zeros(0, np.int64)]
    for image in images:
        if image.kinds is None:
            continue
        _, cells = detect_at(model, image.rgb, mpp)
        pairs = match_points(centres(image.instances), cells.xy, radius_um / mpp)
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
    """Fit on one part, where every class weighs the same, and count recalls on the other."""
    classes = np.intersect1d(train_kinds, test_kinds)
    if len(classes) < 2:
        raise RegdataError(
            f"expected matched nuclei of two classes in both parts, found {len(classes)}; "
            "give more images with type_map"
        )
    kept = np.isin(train_kinds, classes)
    train_labels = np.searchsorted(classes, train_kinds[kept])
    mean = train_tokens[kept].mean(axis=0)
    std = train_tokens[kept].std(axis=0) + 1e-6
    weights = fit_linear((train_tokens[kept] - mean) / std, train_labels, len(classes))
    guess = classes[_logits((test_tokens - mean) / std, weights).argmax(axis=1)]
    recall = [float((guess[test_kinds == c] == c).mean()) for c in classes]
    counts = [
        tuple(int((kinds == c).sum()) for c in classes) for kinds in (train_kinds, test_kinds)
    ]
    return Separability(tuple(classes.tolist()), tuple(recall), counts[0], counts[1])


def fit_linear(
    tokens: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Logistic regression with an L2 penalty: (D + 1, K) weights, the last row the bias."""
    x, y = torch.from_numpy(tokens), torch.from_numpy(labels)
    balance = torch.from_numpy(1 / (classes * np.bincount(labels, minlength=classes))).float()
    weights = torch.zeros(tokens.shape[1] + 1, classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = x @ weights[:-1] + weights[-1]
        entropy = torch.nn.functional.cross_entropy(logits, y, balance, reduction="sum")
        total = entropy + _PENALTY * weights[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    fitted: NDArray[np.float32] = weights.detach().numpy()
    return fitted


def _logits(tokens: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(tokens @ weights[:-1] + weights[-1], np.float32)
