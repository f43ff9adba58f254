"""From files of labelled cells to a saved token classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellDataset, read_dataset
from regdata.cellvit.networks import (
    Classifier,
    ClassifierInfo,
    TokenClassifier,
    save_classifier,
)
from regdata.errors import RegdataError
from regdata.paths import StrPath, paths_of
from regdata.train.tokens.fitting import FitSettings, fit
from regdata.train.tokens.report import Epoch, FitReport
from regdata.train.tokens.splits import Split, split_groups
from regdata.train.tokens.within_slides import fit_within_slides


def train_classifier(
    paths: Sequence[StrPath],
    output: StrPath,
    settings: FitSettings | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> FitReport:
    """Report of a token classifier that is trained on files of `regdata build` and saved.

    Cells of one patient, or of one slide where no patient is named, stay on one side of the
    split into training and validation.

    Parameters
    ----------
    paths
        Files with the same classes and tokens of the same network.
    output
        The `.pt` to write.
    progress
        Called after each epoch.

    Raises
    ------
    RegdataError
        The files do not belong together, or hold too few cells of a class.
    """
    output = Path(output)
    settings = settings or FitSettings()
    datasets = [read_dataset(path) for path in paths]
    _check_together(datasets)
    first = datasets[0]
    tokens = np.concatenate([d.cells.tokens for d in datasets])
    labels = np.concatenate([d.labels for d in datasets])
    groups = np.concatenate([group_of_cells(d) for d in datasets])
    xy = np.concatenate([d.cells.xy for d in datasets])
    _check_classes_present(labels, first)
    split = split_groups(groups, xy, labels, settings.val_share, settings.seed)
    weights = None
    if settings.weights == "label_probability":
        weights = np.concatenate([_weights_of(d) for d in datasets])
    slides = np.concatenate([_slide_of_cells(d) for d in datasets]) if settings.robust else None
    cells = TrainingCells(tokens, labels, first.classes, split, weights, slides)
    network = first.record.model.name, first.record.model.sha256
    files = [path.name for path in paths_of(paths)]
    classifier, report = fit_classifier(cells, network, settings, files, progress)
    save_classifier(output, classifier)
    return report


@dataclass(frozen=True)
class TrainingCells:
    """Cells with their labels, split into training and validation.

    Attributes
    ----------
    tokens
        (N, D) float16 or float32.
    labels
        (N,) int64, index into `classes`; anything for cells in neither part of the split.
    weights
        (N,) float32, weight of each cell in the loss; None for all the same.
    slides
        (N,) the slide of each, which a robust classifier needs; None for a single one.
    """

    tokens: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    split: Split
    weights: NDArray[np.float32] | None = None
    slides: NDArray[np.str_] | None = None


def fit_classifier(
    cells: TrainingCells,
    network: tuple[str, str],
    settings: FitSettings,
    files: Sequence[str],
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[Classifier, FitReport]:
    """A classifier fit to cells in memory, and the report of its training.

    Parameters
    ----------
    network
        Name and sha256 of the network the tokens are of.
    files
        Names of the files of the cells, for its description.
    """
    head, report = _fitted(cells, settings, progress)
    info = ClassifierInfo(
        classes=cells.classes,
        token_width=cells.tokens.shape[1],
        hidden=head.fc1.out_features,
        dropout=head.dropout.p,
        model_name=network[0],
        model_sha256=network[1],
        mean=tuple(report.mean.tolist()),
        std=tuple(report.std.tolist()),
        training={
            **report.to_dict(),
            "settings": settings.model_dump(mode="json"),
            "files": list(files),
        },
    )
    return Classifier(head, info), report


def _fitted(
    cells: TrainingCells, settings: FitSettings, progress: Callable[[Epoch], None] | None
) -> tuple[TokenClassifier, FitReport]:
    """The network of a classifier, by the way the settings name."""
    of = cells.tokens, cells.labels
    if not settings.robust:
        return fit(*of, cells.classes, cells.split, settings, progress, cells.weights)
    slides = np.full(len(cells.labels), "") if cells.slides is None else cells.slides
    network, report = fit_within_slides(*of, slides, cells.classes, cells.split, cells.weights)
    if progress is not None:
        progress(report.best)
    return network, report


def _slide_of_cells(dataset: CellDataset) -> NDArray[np.str_]:
    """(N,) the slide of each cell, told from others of its name by what is in its file."""
    slide = dataset.obs["slide"].astype(str).to_numpy(np.str_)
    return np.char.add(f"{dataset.record.he.sha256}:", slide)


def group_of_cells(dataset: CellDataset) -> NDArray[np.str_]:
    """(N,) str, group of each cell that a split keeps together: the patient, else the slide.

    A slide is identified by the content of its file, since many are called `he.tif`.
    """
    patient = dataset.obs["patient"].astype(str).to_numpy(np.str_)
    slide = dataset.obs["slide"].astype(str).to_numpy(np.str_)
    return np.where(patient == slide, _slide_of_cells(dataset), patient)


def _weights_of(dataset: CellDataset) -> NDArray[np.float32]:
    """(N,) float32, probability of each cell's label; NaN where it has none.

    Raises
    ------
    RegdataError
        The file does not say it, or not of every labelled cell.
    """
    if "label_probability" not in dataset.obs:
        raise RegdataError(
            f"{dataset.path} does not say how likely its labels are (no column label_probability); "
            "train with `cell_weights='none'`"
        )
    weights = np.asarray(dataset.obs["label_probability"], np.float32)
    without = int((~np.isfinite(weights) & (dataset.labels >= 0)).sum())
    if without:
        raise RegdataError(
            f"{dataset.path} does not say of {without} labelled cells how likely their labels are "
            "(label_probability is NaN); train with `cell_weights='none'`"
        )
    return weights


def _check_together(datasets: Sequence[CellDataset]) -> None:
    first = datasets[0]
    for dataset in datasets:
        if not dataset.classes or "label" not in dataset.obs:
            raise RegdataError(f"{dataset.path} has no labels; expected a file of regdata build")
        if dataset.classes != first.classes:
            raise RegdataError(
                f"{dataset.path} has the classes {', '.join(dataset.classes)}, {first.path} has "
                f"{', '.join(first.classes)}; train on files with the same classes"
            )
        models = [d.record.model.sha256 for d in (dataset, first)]
        if models[0] != models[1]:
            raise RegdataError(
                f"{dataset.path} and {first.path} hold tokens of different networks; "
                "build them with the same `model=`"
            )


def _check_classes_present(labels: NDArray[np.int64], first: CellDataset) -> None:
    counts = np.bincount(labels[labels >= 0], minlength=len(first.classes))
    for name, count in zip(first.classes, counts.tolist(), strict=True):
        if count < 2:
            raise RegdataError(
                f"class {name} has {count} cells in {first.path.name}; at least 2 are needed. "
                "Look at the pictures in qc/ to see what was labelled"
            )
