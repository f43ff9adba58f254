"""Charts of the page of an evaluation: curves of the classes, and F1 of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.eval import Evaluation
from regdata.eval.conventions import precision_recall
from regdata.eval.metrics import MatchedImage, f1_scores, row_means, unit_sums
from regdata.report import Axis, Chart, Figure, Series, number

_LOWEST = 10  # rows of the table
_BLUE, _RED = "#1f77b4", "#d62728"


@dataclass(frozen=True)
class PerImage:
    """F1 of each slide, or of each image where slides have one each.

    Attributes
    ----------
    unit
        `slide` or `image`.
    count
        How many there are.
    lowest
        Name, number of nuclei, mean F1 and F1 of detection of those with the lowest mean F1.
    """

    unit: str
    count: int
    figure: Figure
    lowest: list[tuple[str, str, str, str]]


def precision_recall_figure(evaluation: Evaluation, tints: Sequence[str]) -> Figure:
    """Precision against recall of every class, in the colours `tints`."""
    series = []
    for k, name in enumerate(evaluation.scores.classes):
        curve = precision_recall(evaluation.images, k)
        if curve.average is not None:
            text = f"{name} (AP {curve.average:.3f})"
            series.append(Series(text, tints[k], curve.recall, curve.precision))
    text = (
        "Precision and recall as cells are taken by falling probability of the class. Recall ends "
        "where all found cells are taken: what is right of it was not found at all."
    )
    axes = Axis.linear("recall"), Axis.linear("precision")
    return Figure(text, chart=Chart(x=axes[0], y=axes[1], series=series).svg())


def calibration_figure(matched: Mapping[str, Any]) -> Figure:
    """Share of right predictions against the probability of the predicted class."""
    calibration = matched["calibration"]
    bins = calibration["curve"]
    x = np.array([one["confidence"] for one in bins], np.float64)
    y = np.array([one["accuracy"] for one in bins], np.float64)
    titles = [f"{one['cells']:,} cells" for one in bins]
    error = "undefined" if calibration["ece"] is None else number(calibration["ece"])
    dots = Series(f"cells (calibration error {error})", _BLUE, x, y, dots=True, titles=titles)
    text = (
        "Of found nuclei that were annotated: the probability of the predicted class, and how "
        "often it is right. Dots below the dashed line: the classifier is too sure of itself."
    )
    axes = Axis.linear("probability"), Axis.linear("share that is right")
    return Figure(text, chart=Chart(x=axes[0], y=axes[1], series=[dots], diagonal=True).svg())


def per_image(images: Sequence[MatchedImage]) -> PerImage:
    """F1 of each slide or image as a chart, and the lowest ones."""
    matrices = np.stack([matched.counts().confusion for matched in images])
    names = [matched.image.name for matched in images]
    slides = [matched.image.slide for matched in images]
    by_slide = 1 < len(set(slides)) < len(slides)
    if by_slide:
        matrices, names = unit_sums(matrices, slides), sorted(set(slides))
    unit = "slide" if by_slide else "image"
    f1 = f1_scores(matrices.astype(np.float64))
    mean, detection = row_means(f1[:, :-1])[:, 0], f1[:, -1]
    nuclei = matrices[:, :-1].sum(axis=(1, 2)).astype(np.float64)
    series = [
        _dots("mean F1", _RED, nuclei, mean, names),
        _dots("F1 of detection", _BLUE, nuclei, detection, names),
    ]
    most = float(max(nuclei.max() * 1.05, 1))
    axes = Axis.linear("annotated nuclei", 0, most), Axis.linear("F1")
    figure = Figure(
        f"One {unit} each; its name is under the pointer.",
        chart=Chart(x=axes[0], y=axes[1], series=series).svg(),
    )
    lowest = [
        (names[k], f"{nuclei[k]:.0f}", number(mean[k], ".2f"), number(detection[k], ".2f"))
        for k in np.argsort(mean, kind="stable")[:_LOWEST].tolist()
    ]
    return PerImage(unit, len(names), figure, lowest)


def _dots(
    name: str, tint: str, x: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str]
) -> Series:
    known: list[int] = np.flatnonzero(np.isfinite(y)).tolist()
    titles = [f"{names[k]}: {name} {y[k]:.3f}" for k in known]
    return Series(name, tint, x[known], y[known], dots=True, titles=titles)
