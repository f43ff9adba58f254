import numpy as np
import pytest

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.cellvit.networks.weights import load_model
from regdata.errors import RegdataError
from regdata.eval.separability import fit_linear, matched_tokens, separability


def clouds(seed: int, counts: dict[int, int], apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of each class around its own corner."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(counts), list(counts.values()))
    tokens = rng.normal(0, 1, (len(kinds), 6))
    tokens[np.arange(len(kinds)), kinds] += apart
    return tokens.astype(np.float32) * 40 + 7, kinds.astype(np.int64)


def test_classes_far_apart_are_told_apart_even_if_one_is_rare() -> None:
    train = clouds(0, {1: 400, 2: 20, 4: 200}, apart=9)
    test = clouds(1, {1: 30, 2: 30, 4: 10}, apart=9)
    found = separability(*train, *test)
    assert found.classes == (1, 2, 4)
    assert (found.train, found.test) == ((400, 20, 200), (30, 30, 10))
    assert found.recall == (1.0, 1.0, 1.0)
    assert found.balanced_accuracy == 1.0


def test_equal_clouds_are_guessed() -> None:
    train = clouds(0, {1: 600, 2: 200}, apart=0)
    test = clouds(1, {1: 500, 2: 500}, apart=0)
    assert separability(*train, *test).balanced_accuracy == pytest.approx(0.5, abs=0.06)


def test_only_classes_of_both_parts_are_counted() -> None:
    found = separability(*clouds(0, {1: 50, 2: 50, 3: 50}, 9), *clouds(1, {1: 9, 2: 9, 5: 9}, 9))
    assert found.classes == (1, 2)
    with pytest.raises(RegdataError, match="two classes in both parts, got 1"):
        separability(*clouds(0, {1: 50, 2: 50}, 9), *clouds(1, {1: 9}, 9))


def test_the_fit_is_at_a_minimum_where_classes_weigh_the_same() -> None:
    """Without tokens that say anything, the bias gives every class the same share."""
    labels = np.repeat([3, 5], [90, 10])
    fitted = fit_linear(np.zeros((100, 3), np.float32), labels)
    assert fitted.classes_.tolist() == [3, 5]
    assert fitted.predict_proba(np.zeros((1, 3)))[0] == pytest.approx([0.5, 0.5], abs=1e-3)


@pytest.mark.parametrize("counts", [{1: 60, 2: 20}, {1: 60, 2: 20, 4: 40}])
def test_the_penalty_is_the_same_for_two_classes_and_for_more(counts: dict[int, int]) -> None:
    """At the minimum the gradient of mean entropy and penalty is 0, with a row for each class."""
    tokens, labels = clouds(0, counts, apart=1)
    scaler, linear = fit_linear(tokens, labels)
    rows = linear.coef_ if len(counts) > 2 else np.stack([-linear.coef_[0], linear.coef_[0]]) / 2
    hot = (labels[:, None] == linear.classes_).astype(float)
    weight = (hot / (len(counts) * hot.sum(0))).sum(1)
    x = scaler.transform(tokens)
    error = (linear.predict_proba(x) - hot) * weight[:, None]
    gradient = error.T @ x + 2 * 1e-4 * rows
    assert np.abs(gradient).max() < 1e-4


def test_images_without_classes_give_no_tokens() -> None:
    model = load_model(device="cpu")
    blank = np.full((64, 64, 3), 240, np.uint8)
    images = [AnnotatedNuclei("a", blank, np.zeros((64, 64), np.int32))]
    tokens, kinds = matched_tokens(model, images, 0.25, 3.0)
    assert tokens.shape == (0, model.config.token_width)
    assert kinds.shape == (0,)
