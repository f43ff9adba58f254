"""The classifier of differences within slides, on tokens of known make."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from regdata.errors import RegdataError
from regdata.train.tokens.classifier import TrainingCells, fit_classifier
from regdata.train.tokens.fitting import FitSettings
from regdata.train.tokens.frequency import calling
from regdata.train.tokens.splits import Split
from regdata.train.tokens.within_slides import as_network, calibrated, discriminants

WIDTH = 12


def slides_of(
    rng: np.random.Generator, shares: list[float], count: int = 400
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]:
    """Tokens of slides that differ far more than classes do, the more positive the further."""
    tokens, labels, names = [], [], []
    for number, share in enumerate(shares):
        positive = (rng.random(count) < share).astype(np.int64)
        here = rng.normal(size=(count, WIDTH))
        here[:, 0] += 1.5 * positive  # what the class is
        here[:, 1] += 8 * share  # what the slide is
        tokens.append(here.astype(np.float32))
        labels.append(positive)
        names.append(np.full(count, f"slide {number}"))
    return np.concatenate(tokens), np.concatenate(labels), np.concatenate(names)


def test_a_slide_is_not_mistaken_for_a_class() -> None:
    rng = np.random.default_rng(0)
    tokens, labels, names = slides_of(rng, [0.05, 0.2, 0.5, 0.8, 0.95])
    elsewhere, truth, _ = slides_of(rng, [0.5], 4000)
    elsewhere[:, 1] = rng.normal(scale=4, size=len(elsewhere))  # other stains, whatever the class
    weights, biases = discriminants(tokens, labels, names, 2)
    scores = elsewhere @ weights + biases
    pooled = LogisticRegression().fit(tokens, labels).decision_function(elsewhere)
    assert abs(weights[1, 1] - weights[1, 0]) < 0.1 * abs(weights[0, 1] - weights[0, 0])
    ours = roc_auc_score(truth, scores[:, 1] - scores[:, 0])
    assert ours > 0.84
    assert ours > roc_auc_score(truth, pooled) + 0.1


def test_three_classes_need_not_be_on_every_slide() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([0, 1] * 200 + [1, 2] * 200)
    names = np.repeat(["a", "b"], 400)
    tokens = rng.normal(size=(800, WIDTH))
    tokens[np.arange(800), labels] += 3
    weights, biases = discriminants(tokens, labels, names, 3)
    assert ((tokens @ weights + biases).argmax(1) == labels).mean() > 0.8


def test_a_class_that_is_alone_on_its_slides_is_refused() -> None:
    labels = np.array([0, 1] * 10 + [2] * 20)
    names = np.repeat(["a", "b"], 20)
    with pytest.raises(RegdataError, match="none of class 2; train without `robust=True`"):
        discriminants(np.random.default_rng(0).normal(size=(40, 4)), labels, names, 3)


def test_as_many_are_called_as_there_are() -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random(20_000) < 0.2).astype(np.int64)
    scores = np.stack([np.zeros(20_000), rng.normal(size=20_000) + 2 * labels], axis=1)
    scale, shift = calibrated(scores, labels, None)
    odds = (scores * scale + shift)[:, 1] - (scores * scale + shift)[:, 0]
    probability = 1 / (1 + np.exp(-odds))
    assert probability.mean() == pytest.approx(labels.mean(), abs=1e-3)
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):
        here = (probability > low) & (probability < high)
        assert labels[here].mean() == pytest.approx(probability[here].mean(), abs=0.05)


def test_weights_of_cells_count() -> None:
    scores = np.array([[0.0, 1.0], [0.0, -1.0]] * 50)
    labels = np.array([1, 0] * 45 + [0, 1] * 5)
    weights = np.where(np.arange(100) < 90, 1.0, 9.0)
    assert calibrated(scores, labels, None)[0] > 0.5
    assert calibrated(scores, labels, weights)[0] == pytest.approx(0.0, abs=1e-3)


def test_the_network_gives_the_scores() -> None:
    rng = np.random.default_rng(3)
    weights, biases = rng.normal(size=(WIDTH, 3)), rng.normal(size=3)
    tokens = rng.normal(size=(50, WIDTH)).astype(np.float32)
    with torch.inference_mode():
        given = as_network(weights, biases)(torch.from_numpy(tokens)).numpy()
    assert np.allclose(given, tokens @ weights + biases, atol=1e-5)


def test_a_robust_classifier_is_one_setting_away_and_calls_as_often_as_asked() -> None:
    rng = np.random.default_rng(4)
    tokens, labels, names = slides_of(rng, [0.1, 0.3, 0.5, 0.6])
    val = names == "slide 3"
    cells = TrainingCells(
        tokens, labels, ("negative", "CD3"), Split(~val, val, "slide", None), slides=names
    )
    classifier, report = fit_classifier(cells, ("net", "0" * 64), FitSettings(robust=True), ["x"])
    assert report.val_cells == tuple(np.bincount(labels[val]).tolist())
    assert report.best.auroc > 0.8
    assert classifier.predict(tokens).sum(1) == pytest.approx(np.ones(len(tokens)), abs=1e-5)
    elsewhere, truth, _ = slides_of(rng, [0.3], 3000)
    elsewhere += 5.0  # another stain
    asked = calling(classifier, [0.7, 0.3], elsewhere)
    called = asked.predict(elsewhere).argmax(1)
    assert called.mean() == pytest.approx(0.3, abs=0.01)
    assert (called == truth).mean() > 0.7
    areas = [roc_auc_score(truth, one.predict(elsewhere)[:, 1]) for one in (asked, classifier)]
    assert areas[0] == pytest.approx(areas[1], abs=1e-4)
