import json

import numpy as np
import pytest
import torch

from regdata.errors import RegdataError
from regdata.train.tokens.auroc import auroc_per_class
from regdata.train.tokens.fitting import FitSettings, WeightedLoss, class_weights, fit
from regdata.train.tokens.splits import Split
from regdata.train.tokens.tokens import standardisation

QUICK = FitSettings(hidden=16, epochs=6, batch=64, lr=0.01)


def tokens_of(classes=2, n=600, width=12, noise=1.0, seed=0):
    """Gaussian clouds around one centre per class, far from 0 and of unlike scale."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = rng.normal(0, 1, (classes, width))
    tokens = centres[labels] + rng.normal(0, noise, (n, width))
    tokens = tokens * np.geomspace(0.01, 10, width) + 20
    return tokens.astype(np.float16), labels


def halves(n, val=0.25):
    mask = np.arange(n) < n * val
    return Split(~mask, mask, "slide")


def names(classes):
    return [f"class{i}" for i in range(classes)]


def run(tokens, labels, classes=2, settings=QUICK, split=None, progress=None):
    split = split or halves(len(labels))
    return fit(tokens, labels, names(classes), split, settings, progress)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_learns_and_reports_what_the_network_does(classes):
    tokens, labels = tokens_of(classes, noise=0.5)
    network, report = run(tokens, labels, classes)
    split = halves(len(labels))
    standard = (tokens[split.val].astype(np.float32) - report.mean) / report.std
    with torch.inference_mode():
        logits = network(torch.from_numpy(standard)).numpy()
    assert (logits.argmax(axis=1) == labels[split.val]).mean() > 0.9
    exp = np.exp(logits.astype(np.float64))
    own = auroc_per_class(exp / exp.sum(axis=1, keepdims=True), labels[split.val])
    np.testing.assert_allclose(report.auroc_per_class, own, atol=1e-3)
    assert report.best.auroc == pytest.approx(np.mean(report.auroc_per_class))
    assert sum(report.train_cells) == split.train.sum()
    assert report.val_cells == tuple(np.bincount(labels[split.val]))
    assert not network.training


def test_same_seed_same_network_and_nothing_else_disturbed():
    tokens, labels = tokens_of()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, _ = run(tokens, labels)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    two, _ = run(tokens, labels)
    other, _ = run(tokens, labels, settings=QUICK.model_copy(update={"seed": 1}))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.fc1.weight, other.fc1.weight)


def test_training_ignores_validation_cells_and_cells_of_no_part():
    tokens, labels = tokens_of()
    split = halves(len(labels))
    split.train[-100:] = False
    one, _ = run(tokens, labels, settings=QUICK.model_copy(update={"epochs": 1}), split=split)
    tokens[-100:], labels[-100:] = np.nan, -1
    tokens[split.val] += 3
    two, _ = run(tokens, labels, settings=QUICK.model_copy(update={"epochs": 1}), split=split)
    assert torch.equal(one.fc1.weight, two.fc1.weight)


def test_scale_and_offset_of_tokens_do_not_matter():
    tokens, labels = (lambda t, y: (t.astype(np.float32), y))(*tokens_of())
    _, one = run(tokens, labels)
    _, two = run(tokens * 64 - 16, labels)
    assert two.best.auroc == pytest.approx(one.best.auroc, abs=1e-3)
    np.testing.assert_allclose(two.mean, one.mean * 64 - 16, rtol=1e-4)


def test_stops_early_and_keeps_the_best():
    tokens, labels = tokens_of(noise=4, n=300)
    settings = FitSettings(hidden=64, epochs=60, lr=0.01, patience=3, batch=32)
    seen = []
    network, report = run(tokens, labels, settings=settings, progress=seen.append)
    assert tuple(seen) == report.epochs
    assert len(report.epochs) == report.best.number + 3 < 60
    assert report.best.auroc == max(epoch.auroc for epoch in report.epochs)
    again = settings.model_copy(update={"epochs": report.best.number})
    shorter, _ = run(tokens, labels, settings=again)
    assert torch.equal(network.fc2.weight, shorter.fc2.weight)


def test_training_goes_on_while_the_loss_falls_at_a_perfect_auroc():
    tokens, labels = tokens_of(noise=0.05)
    settings = FitSettings(hidden=16, epochs=12, patience=2, batch=32)
    _, report = run(tokens, labels, settings=settings)
    assert report.epochs[3].auroc == report.best.auroc == 1.0
    assert report.best.number > 8


def test_class_weights_find_a_rare_class():
    rng = np.random.default_rng(0)
    labels = (np.arange(2000) % 40 == 0).astype(int)
    tokens = (rng.normal(0, 1, (2000, 4)) + labels[:, None]).astype(np.float16)
    recall = {}
    for weights in ("inverse", "none"):
        settings = QUICK.model_copy(update={"class_weights": weights})
        network, report = run(tokens, labels, settings=settings)
        with torch.inference_mode():
            chosen = network(torch.from_numpy((tokens - report.mean) / report.std)).argmax(1)
        recall[weights] = chosen.numpy()[labels == 1].mean()
    assert recall["inverse"] > 0.7 > recall["none"]


def test_weights_give_each_class_the_same_sum():
    counts = np.array([700, 200, 100])
    sums = class_weights(counts).numpy() * counts
    np.testing.assert_allclose(sums, 1000 / 3, rtol=1e-6)


@pytest.mark.parametrize("balance", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_cells_that_count_equally_have_the_usual_loss(balance):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(40, 3)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 3, 40))
    usual = torch.nn.CrossEntropyLoss(balance)(logits, labels)
    for count in (1.0, 0.3):
        ours = WeightedLoss(balance, 3)(logits, labels, torch.full((40,), count))
        assert float(ours) == pytest.approx(float(usual), rel=1e-6)


def test_a_cell_that_counts_twice_is_as_good_as_two():
    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(size=(10, 2)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, 10))
    counts = torch.from_numpy(rng.integers(1, 4, 10))
    loss = WeightedLoss(torch.tensor([0.7, 1.3]), 2)
    repeated = [x.repeat_interleave(counts, dim=0) for x in (logits, labels)]
    ours = loss(logits, labels, counts.float())
    assert float(ours) == pytest.approx(float(loss(*repeated, torch.ones(counts.sum()))), rel=1e-6)


def test_equal_weights_change_nothing():
    tokens, labels = tokens_of()
    one, _ = run(tokens, labels)
    halved = np.full(len(labels), 0.5, np.float32)
    two, _ = fit(tokens, labels, names(2), halves(len(labels)), QUICK, weights=halved)
    np.testing.assert_allclose(
        one.fc1.weight.detach().numpy(), two.fc1.weight.detach().numpy(), atol=1e-4
    )


def test_cells_of_little_weight_mislead_little():
    tokens, labels = tokens_of(noise=0.5)
    rng = np.random.default_rng(2)
    wrong = rng.random(len(labels)) < 0.6
    wrong[:150] = False  # what is validated on is right
    taught = np.where(wrong, 1 - labels, labels)
    weights = np.where(wrong, 0.01, 1.0)
    scores = [
        fit(tokens, taught, names(2), halves(len(labels)), QUICK, weights=given)[1].best.auroc
        for given in (None, weights)
    ]
    assert scores[1] > 0.95 > scores[0]


def test_classes_stay_balanced_when_the_cells_of_one_are_unsure():
    """Weights of cells do not make a class rarer than its cells are."""
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    tokens = (rng.normal(0, 1, (2000, 4)) + 0.5 * labels[:, None]).astype(np.float16)
    weights = np.where(labels == 1, 0.05, 1.0)
    network, report = fit(tokens, labels, names(2), halves(2000), QUICK, weights=weights)
    with torch.inference_mode():
        chosen = network(torch.from_numpy((tokens - report.mean) / report.std)).argmax(1)
    assert 0.3 < chosen.float().mean() < 0.7


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_weights_that_cannot_be(wrong):
    tokens, labels = tokens_of()
    split = halves(len(labels))
    split.train[-1] = False
    weights = np.ones(len(labels))
    weights[-1] = wrong  # of a cell in neither part
    quick = QUICK.model_copy(update={"epochs": 1})
    fit(tokens, labels, names(2), split, quick, weights=weights)
    weights[-2] = wrong
    with pytest.raises(RegdataError, match="weights above 0"):
        fit(tokens, labels, names(2), split, quick, weights=weights)
    with pytest.raises(RegdataError, match="one weight per token"):
        fit(tokens, labels, names(2), split, quick, weights=weights[1:])


def test_standardisation_agrees_with_numpy(monkeypatch):
    monkeypatch.setattr("regdata.train.tokens.tokens._CHUNK", 7)
    tokens, _ = tokens_of(n=100)
    tokens[:, 3] = 5  # constant
    index = np.arange(10, 90)
    mean, std = standardisation(tokens, index)
    part = tokens[index].astype(np.float64)
    np.testing.assert_allclose(mean, part.mean(axis=0), rtol=1e-6)
    expected = part.std(axis=0)
    expected[3] = 1
    np.testing.assert_allclose(std, expected, rtol=1e-5)


def test_class_without_validation_cells():
    tokens, labels = tokens_of(3)
    split = halves(len(labels))
    split.val[labels == 2] = False
    _, report = run(tokens, labels, 3, split=split)
    assert report.auroc_per_class[2] is None
    assert report.best.auroc == pytest.approx(np.mean(report.auroc_per_class[:2]))


def test_class_without_any_cells():
    tokens, labels = tokens_of(2)
    _, report = run(tokens, labels, 3)
    assert report.train_cells[2] == 0
    assert report.auroc_per_class[2] is None


def test_report_is_json():
    _, report = run(*tokens_of())
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["best"]["number"] == report.best.number
    assert set(content["auroc"]) == {"class0", "class1"}
    assert content["split"] == "slide"


def spoil(tokens, labels, split, how):
    if how == "no cells":
        split.train[:] = False
    elif how == "no validation":
        split.val[:] = False
    elif how == "one class":
        labels[:] = 1
    elif how == "one class to validate":
        labels[split.val] = 0
    elif how == "short labels":
        labels = labels[:-1]
    elif how == "nan":
        tokens[-1, 0] = np.nan
    elif how == "infinite validation":
        tokens[0, 0] = np.inf
    elif how == "unknown label":
        labels[5] = 2
    elif how == "flat":
        tokens = tokens[:, 0]
    return tokens, labels, split


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no cells", "labelled cells to train on, got none"),
        ("no validation", "labelled cells to validate on, got none"),
        ("one class", "to train on, got only class1"),
        ("one class to validate", "to validate on, got only class0"),
        ("short labels", "one label per token"),
        ("flat", "one label per token"),
        ("nan", "got NaN"),
        ("infinite validation", "got NaN or infinity"),
        ("unknown label", r"labels from 0 to 1 \(class0, class1\), got 0 to 2"),
    ],
)
def test_errors(how, message):
    tokens, labels, split = spoil(*tokens_of(), halves(600), how)
    with pytest.raises(RegdataError, match=message) as error:
        fit(tokens, labels, names(2), split, QUICK)
    assert "\n" not in error.value.message
