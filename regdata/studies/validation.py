"""How far auto-labels are from experts: the same head on both, scored on the same cells.

One head is trained on the file of auto-labels, others, one per fold, on the experts' labels of
the training part of an annotated set. All classify the same detected nuclei of its test part (the
experiment of CellViT++, Tables S13 and S14), where they are scored image by image. Where a set has
no parts, a fold is the test part of the head that was trained on the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.annotated import AnnotatedImage, AnnotatedSet
from regdata.cellvit.networks import Classifier, Model, load_classifier, load_model
from regdata.errors import RegdataError
from regdata.eval import find_cells
from regdata.eval.metrics import (
    ClassMap,
    Conventions,
    Difference,
    ImageCounts,
    Prediction,
    Scores,
    bootstrap_difference,
    count,
    f1_scores,
    map_classes,
    match_points,
    score,
)
from regdata.files import Progress, silent
from regdata.paths import StrPath
from regdata.studies.folds import image_folds
from regdata.studies.validation_legacy import Classified, legacy_scores
from regdata.train.tokens import (
    FitSettings,
    Split,
    TrainingCells,
    as_frequent,
    fit_classifier,
    train_classifier,
)


@dataclass(frozen=True)
class Detected:
    """An annotated image and the nuclei the network detected in it.

    Attributes
    ----------
    xy, tokens
        (M, 2) float64, pixels of the image, and (M, D) float16.
    radius
        Largest distance of a pair, pixels.
    expert
        (M,) int64, scored class of the annotated nucleus each is paired with, -1 for none.
    """

    image: AnnotatedImage
    xy: NDArray[np.float64]
    tokens: NDArray[np.float16]
    radius: float
    expert: NDArray[np.int64]


@dataclass(frozen=True)
class Validation:
    """Scores of heads trained on auto-labels and on experts' labels.

    Attributes
    ----------
    auto
        Scores of the head trained on auto-labels.
    experts
        Scores of each head trained on experts' labels.
    gap
        Mean F1 of the experts' heads less that of the auto-labels', with a paired interval; then
        per class, then of detection.
    legacy
        F1 per class by the published pooling (all images of a slide in one frame, 15 px): of the
        auto head, then the experts' mean; and its chance level.
    train_cells
        Labelled cells behind the auto head, and behind each expert's head.
    """

    classes: tuple[str, ...]
    auto: Scores
    experts: tuple[Scores, ...]
    gap: dict[str, Difference]
    legacy: dict[str, dict[str, float | None]]
    train_cells: tuple[int, tuple[int, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return {
            "auto_labels": self.auto.to_dict(),
            "experts": [one.to_dict() for one in self.experts],
            "experts_minus_auto_labels": {name: asdict(d) for name, d in self.gap.items()},
            "legacy_overlay": self.legacy,
            "training_cells": {"auto_labels": self.train_cells[0], "experts": self.train_cells[1]},
        }


def validate(
    datasets: Sequence[StrPath],
    training: AnnotatedSet | None,
    test: AnnotatedSet,
    mapping: dict[str, str] | None = None,
    model_path: StrPath | None = None,
    device: str = "auto",
    conventions: Conventions | None = None,
    progress: Progress = silent,
    robust: bool = False,
) -> Validation:
    """Scores of heads trained on auto-labels and on experts' labels, on experts' test images.

    Parameters
    ----------
    datasets
        Files of `regdata build` with the same classes.
    training, test
        Parts of an annotated set with the same classes; without a training part, folds of `test`
        take turns.
    robust
        Heads of differences within slides, each calling its classes as often on the test images
        as they were in its training.

    Raises
    ------
    RegdataError
        The files are of another network, classes have no partner, or there is too little to train
        on.
    """
    model_path = None if model_path is None else Path(model_path)
    how = conventions or Conventions(resample="slide")
    model = load_model(model_path, device)
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "auto.pt"
        settings = FitSettings(robust=robust)
        report = train_classifier(datasets, kept, settings)
        auto = load_classifier(kept)
    auto.require_model(model.sha256, model.config.name, model.config.token_width)
    classes = map_classes(auto.info.classes, test.classes, mapping)
    parts = [test] if training is None else [training, test]
    total = sum(len(part.images) for part in parts)
    images: list[list[Detected]] = []
    done = 0
    for part in parts:
        images.append([])
        for image in part.images:
            images[-1].append(_look(image, part, model, classes, how.radius_um))
            done += 1
            progress(done / total)
    crossed = training is None
    folds = image_folds([s.image.group for s in images[0]], 3 if crossed else 2)
    network = model.config.name, model.sha256
    heads = [
        _expert(images[0], _parts(folds, k, crossed), classes.names, network, settings)
        for k in range(int(folds.max()) + 1)
    ]
    experts, tested = [one for one, _ in heads], images[-1]
    if robust:
        tokens = np.concatenate([one.tokens for one in tested])
        auto, *experts = [as_frequent(one, tokens) for one in (auto, *experts)]
    guesses = [_by_auto(auto, classes, tested)]
    if crossed:
        guesses.append([experts[k].predict(s.tokens) for k, s in zip(folds, tested, strict=True)])
    else:
        guesses += [[one.predict(s.tokens) for s in tested] for one in experts]
    scored_as = ClassMap(classes.names, np.arange(len(classes.names)), classes.annotated)
    counts = [_counts(tested, guess, scored_as) for guess in guesses]
    scores = [score(one, classes.names, how) for one in counts]
    return Validation(
        classes.names,
        scores[0],
        tuple(scores[1:]),
        _gaps([np.stack([c.confusion for c in one]) for one in counts], tested, classes, how),
        legacy_scores(_annotated(tested, classes), _classified(tested, guesses), classes.names),
        (sum(report.train_cells), tuple(n for _, n in heads)),
    )


Guess = list[NDArray[np.float32]]  # per image (M, K) probabilities of the scored classes


def _look(
    image: AnnotatedImage, part: AnnotatedSet, model: Model, classes: ClassMap, radius_um: float
) -> Detected:
    """Nuclei detected in an image, with their classes by the experts."""
    mpp = part.mpp_of(image)
    cells = find_cells(image, mpp, model)
    expert = np.full(len(cells), -1, np.int64)
    pairs = match_points(image.points_xy, cells.xy, radius_um / mpp)
    expert[pairs[:, 1]] = _merged(image, classes)[pairs[:, 0]]
    return Detected(image, cells.xy, cells.tokens, radius_um / mpp, expert)


def _parts(
    folds: NDArray[np.int64], k: int, crossed: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(I,) bool each, images to train and to validate head k; fold k is neither if `crossed`."""
    validation = (k + 1) % (folds.max() + 1) if crossed else k
    train = folds != validation
    return train & (folds != k) if crossed else train, folds == validation


def _expert(
    images: Sequence[Detected],
    parts: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    classes: tuple[str, ...],
    network: tuple[str, str],
    settings: FitSettings,
) -> tuple[Classifier, int]:
    """A head trained on the experts' labels of some images, and the number of its cells."""
    tokens = np.concatenate([s.tokens for s in images])
    labels = np.concatenate([s.expert for s in images])
    image = np.repeat(np.arange(len(images)), [len(s.expert) for s in images])
    train, val = (part[image] & (labels >= 0) for part in parts)
    for what, part in (("train", train), ("validate", val)):
        if len(np.unique(labels[part])) < 2:
            raise RegdataError(
                f"the nuclei detected on the experts' images to {what} a head with are all of one "
                "class; more images are needed"
            )
    slides = np.array([s.image.slide for s in images])[image]
    cells = TrainingCells(tokens, labels, classes, Split(train, val, "slide", None), None, slides)
    classifier, _ = fit_classifier(cells, network, settings, ["experts"])
    return classifier, int(train.sum())


def _by_auto(auto: Classifier, classes: ClassMap, images: Sequence[Detected]) -> Guess:
    return [classes.merge(auto.predict(s.tokens)) for s in images]


def _counts(images: Sequence[Detected], guess: Guess, classes: ClassMap) -> list[ImageCounts]:
    return [
        count(s.image, Prediction(s.xy, p), classes, s.radius)
        for s, p in zip(images, guess, strict=True)
    ]


def _gaps(
    matrices: Sequence[NDArray[np.int64]],
    images: Sequence[Detected],
    classes: ClassMap,
    how: Conventions,
) -> dict[str, Difference]:
    """Experts' heads less the auto head: mean F1, F1 of each class, of detection."""
    experts = np.stack(matrices[1:], axis=1)  # image, head, row, column
    auto = np.repeat(matrices[0][:, None], experts.shape[1], axis=1)
    units = [s.image.group for s in images]

    def mean_over_heads(column: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[..., Any]:
        def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            draws, heads, *shape = sums.shape
            f1 = f1_scores(sums.reshape(draws * heads, *shape)).reshape(draws, heads, -1)
            return np.asarray(np.nanmean(column(f1), axis=1))

        return statistic

    wanted: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "mean F1": lambda f1: np.nanmean(f1[..., :-1], axis=-1)
    }
    for k, name in enumerate(classes.names):
        wanted[name] = lambda f1, k=k: f1[..., k]  # type: ignore[misc]
    return {
        name: bootstrap_difference(
            auto, experts, mean_over_heads(column), units, how.draws, how.seed
        )
        for name, column in wanted.items()
    }


def _annotated(images: Sequence[Detected], classes: ClassMap) -> list[Classified]:
    return [
        Classified(s.image.slide, s.image.points_xy, kinds, np.ones(len(kinds)))
        for s, kinds in ((s, _merged(s.image, classes)) for s in images)
    ]


def _classified(images: Sequence[Detected], guesses: Sequence[Guess]) -> list[list[Classified]]:
    return [
        [
            Classified(s.image.slide, s.xy, p.argmax(1), p.max(1, initial=0))
            for s, p in zip(images, guess, strict=True)
        ]
        for guess in guesses
    ]


def _merged(image: AnnotatedImage, classes: ClassMap) -> NDArray[np.int64]:
    """(N,) scored class of annotated nuclei, -1 for those without a class."""
    return np.where(image.labels < 0, -1, classes.annotated[image.labels])
