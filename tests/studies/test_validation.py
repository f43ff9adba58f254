"""Auto-labels against experts, on tokens that say the class."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.cellvit.networks.classifier import Classifier, save_classifier
from regdata.errors import RegdataError
from regdata.studies import validation as module
from regdata.studies.folds import image_folds
from regdata.studies.validation import Validation, validate
from regdata.studies.validation_table import table
from regdata.train.tokens.classifier import TrainingCells, fit_classifier
from regdata.train.tokens.fitting import FitSettings
from regdata.train.tokens.splits import Split

WIDTH, NETWORK = 8, ("net", "0" * 64)


def tokens_of(labels: np.ndarray, rng: np.random.Generator, noise: float = 0.3) -> np.ndarray:
    centre = np.where(labels[:, None] == 1, 1.0, -1.0) * np.ones(WIDTH)
    return (centre + noise * rng.normal(size=(len(labels), WIDTH))).astype(np.float16)


def part_of(count: int, slides: int, seed: int) -> AnnotatedSet:
    rng = np.random.default_rng(seed)
    images = []
    for k in range(count):
        grid = np.stack(np.meshgrid(np.arange(20, 240, 40), np.arange(20, 240, 40)), -1)
        xy = grid.reshape(-1, 2).astype(float)
        labels = rng.integers(0, 2, len(xy)).astype(np.int64)
        name = Path(f"image_{seed}_{k}.png")
        images.append(
            AnnotatedImage(
                path=name, points_xy=xy, labels=labels, slide=f"slide {seed} {k % slides}"
            )
        )
    return AnnotatedSet(tuple(images), ("tumour", "lymphocyte"), 0.25)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A network that finds what experts drew, and auto-labels of which a share is wrong."""
    said: dict[str, Any] = {"wrong": 0.0, "shift": 0.0}
    model = SimpleNamespace(
        sha256=NETWORK[1], config=SimpleNamespace(name="net", token_width=WIDTH)
    )
    monkeypatch.setattr(module, "load_model", lambda *_: model)

    def train(_: object, output: Path, __: object) -> Any:
        rng = np.random.default_rng(0)
        true = rng.integers(0, 2, 600)
        label = np.where(rng.random(600) < said["wrong"], 1 - true, true)
        train = np.arange(600) < 450
        cells = TrainingCells(
            tokens_of(true, rng),
            label,
            ("negative", "lymphocyte"),
            Split(train, ~train, "slide", None),
        )
        classifier, report = fit_classifier(cells, NETWORK, FitSettings(epochs=8), ["a.h5"])
        save_classifier(output, classifier)
        return report

    def look(image: AnnotatedImage, part: AnnotatedSet, _: object, classes: Any, um: float) -> Any:
        rng = np.random.default_rng(len(image.name) + int(image.points_xy.sum()))
        return module.Detected(
            image,
            image.points_xy + said["shift"],
            tokens_of(image.labels, rng),
            um / part.mpp,
            module._merged(image, classes),
        )

    monkeypatch.setattr(module, "train_classifier", train)
    monkeypatch.setattr(module, "_look", look)
    return said


def run(training: AnnotatedSet | None, test: AnnotatedSet) -> Validation:
    return validate([Path("a.h5")], training, test)


def test_good_auto_labels_are_as_good_as_experts(world: dict[str, Any]) -> None:
    found = run(part_of(10, 10, 1), part_of(6, 3, 2))
    assert found.classes == ("negative", "lymphocyte")
    assert len(found.experts) == 5
    assert found.auto.mean_f1 == pytest.approx(1)
    gap = found.gap["mean F1"]
    assert gap.value == pytest.approx(0, abs=0.01)
    assert gap.low <= 0 <= gap.high


def test_bad_auto_labels_show_in_the_gap_and_less_in_the_published_pooling(
    world: dict[str, Any],
) -> None:
    world["wrong"] = 1.0  # every label is the other one
    found = run(part_of(10, 10, 1), part_of(12, 2, 2))
    gap = found.gap["lymphocyte"]
    assert gap.value > 0.9
    assert gap.low > 0.5
    # six images in one frame: wrong cells find a partner in another image
    assert found.legacy["lymphocyte"]["auto_labels"] > 0.3
    assert found.legacy["lymphocyte"]["chance"] is not None


def test_folds_take_turns_where_a_set_has_no_parts(world: dict[str, Any]) -> None:
    found = run(None, part_of(8, 8, 3))
    assert len(found.experts) == 1
    assert found.experts[0].images == 8
    assert found.experts[0].mean_f1 == pytest.approx(1)


@pytest.mark.parametrize("crossed", [False, True])
def test_a_head_never_sees_what_it_is_scored_on(crossed: bool) -> None:
    folds = image_folds([f"s{k % 7}" for k in range(20)], 3)
    assert set(folds) == set(range(5))
    for name in range(7):  # images of one slide stay together
        assert len(set(folds[np.arange(20) % 7 == name])) == 1
    for k in range(5):
        train, val = module._parts(folds, k, crossed)
        assert not (train & val).any()
        assert train.any()
        assert val.any()
        if crossed:
            assert not ((train | val) & (folds == k)).any()
        else:
            assert (train | val).all()


def test_too_few_slides(world: dict[str, Any]) -> None:
    with pytest.raises(RegdataError, match=r"images of 2 slides or more .* got 1"):
        run(part_of(4, 1, 1), part_of(2, 2, 2))
    with pytest.raises(RegdataError, match="images of 3 slides or more"):
        run(None, part_of(4, 2, 1))


def test_the_table_names_every_row(world: dict[str, Any]) -> None:
    found = run(part_of(6, 6, 1), part_of(4, 2, 2))
    text = table(found)
    for word in ("mean F1", "F1 negative", "F1 lymphocyte", "legacy", "chance", "3.75 µm"):
        assert word in text
    assert set(found.to_dict()) == {
        "auto_labels",
        "experts",
        "experts_minus_auto_labels",
        "legacy_overlay",
        "training_cells",
    }


def test_a_classifier_is_what_it_was_fitted_as() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    train = np.arange(200) < 150
    cells = TrainingCells(
        tokens_of(labels, rng), labels, ("a", "b"), Split(train, ~train, "slide", None)
    )
    classifier, report = fit_classifier(cells, NETWORK, FitSettings(epochs=5), ["x"])
    assert isinstance(classifier, Classifier)
    assert classifier.info.model_sha256 == NETWORK[1]
    assert report.train_cells == tuple(np.bincount(labels[train]).tolist())
    assert (classifier.predict(cells.tokens).argmax(1) == labels).mean() > 0.95
