"""Sections of the page of an evaluation: curves of the classes, and one image beside the other."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.eval import Evaluation
from regdata.eval.conventions import precision_recall
from regdata.eval.metrics import FoundImage, f1_scores, row_means, unit_sums
from regdata.eval.pages.charts import Series, chart
from regdata.report import figure, grid, heading, paragraph

_LOWEST = 10  # rows of the table
_BLUE, _RED = "#1f77b4", "#d62728"


def curves(
    evaluation: Evaluation, matched: Mapping[str, Any], tints: Sequence[str]
) -> Iterator[str]:
    """Precision against recall of every class, and calibration."""
    yield heading("Probabilities")
    yield grid([_precision_recall(evaluation, tints), _calibration(matched)])


def _precision_recall(evaluation: Evaluation, tints: Sequence[str]) -> str:
    series = []
    for k, name in enumerate(evaluation.scores.classes):
        found = precision_recall(evaluation.images, k)
        if found.average is not None:
            text = f"{name} (AP {found.average:.3f})"
            series.append(Series(text, tints[k], found.recall, found.precision))
    text = (
        "Precision and recall as cells are taken by falling probability of the class. Recall ends "
        "where all found cells are taken: what is right of it was not found at all."
    )
    return figure(chart(("recall", "precision"), series), text)


def _calibration(matched: Mapping[str, Any]) -> str:
    told = matched["calibration"]
    bins = told["curve"]
    x = np.array([one["confidence"] for one in bins], np.float64)
    y = np.array([one["accuracy"] for one in bins], np.float64)
    titles = [f"{one['cells']:,} cells" for one in bins]
    error = "undefined" if told["ece"] is None else f"{told['ece']:.3f}"
    series = [
        Series(f"cells (calibration error {error})", _BLUE, x, y, dots=True, titles=titles),
    ]
    text = (
        "Of found nuclei that were annotated: the probability of the predicted class, and how "
        "often it is right. Dots below the dashed line: the classifier is too sure of itself."
    )
    return figure(chart(("probability", "share that is right"), series, diagonal=True), text)


def per_image(images: Sequence[FoundImage], classes: Sequence[str]) -> Iterator[str]:
    """F1 of each slide, or of each image where slides have one each, and the lowest as a table."""
    matrices = np.stack([found.counts().confusion for found in images])
    names = [found.image.name for found in images]
    slides = [found.image.slide for found in images]
    by_slide = 1 < len(set(slides)) < len(slides)
    if by_slide:
        matrices, names = unit_sums(matrices, slides), sorted(set(slides))
    unit = "slide" if by_slide else "image"
    f1 = f1_scores(matrices.astype(np.float64))
    mean, detection = row_means(f1[:, :-1])[:, 0], f1[:, -1]
    nuclei = matrices[:, :-1].sum(axis=(1, 2)).astype(np.float64)
    yield heading(f"Per {unit}")
    series = [
        _dots("mean F1", _RED, nuclei, mean, names),
        _dots("F1 of detection", _BLUE, nuclei, detection, names),
    ]
    most = float(max(nuclei.max() * 1.05, 1))
    shown = chart(("annotated nuclei", "F1"), series, most)
    text = f"One {unit} each; its name is under the pointer."
    parts = [figure(shown, text), _lowest(names, nuclei, mean, detection, unit)]
    yield grid(parts)
    if len(classes) > 1:
        yield paragraph("Mean F1 of a single image is rough: it may hold few nuclei of a class.")


def _dots(
    name: str, tint: str, x: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str]
) -> Series:
    known: list[int] = np.flatnonzero(np.isfinite(y)).tolist()
    titles = [f"{names[k]}: {name} {y[k]:.3f}" for k in known]
    return Series(name, tint, x[known], y[known], dots=True, titles=titles)


def _lowest(
    names: Sequence[str],
    nuclei: NDArray[np.float64],
    mean: NDArray[np.float64],
    detection: NDArray[np.float64],
    unit: str,
) -> str:
    order: list[int] = np.argsort(mean, kind="stable")[:_LOWEST].tolist()
    rows = "".join(
        f'<tr><td>{escape(names[k])}</td><td class="n">{nuclei[k]:.0f}</td>'
        f'<td class="n">{_two(mean[k])}</td><td class="n">{_two(detection[k])}</td></tr>'
        for k in order
    )
    head = f'<th>{unit}</th><th class="n">nuclei</th><th class="n">mean F1</th>'
    return (
        f'<figure><div class="scroll"><table style="font-size:.8rem"><tr>{head}'
        f'<th class="n">detection</th></tr>{rows}'
        f"</table></div><figcaption>The lowest of {len(names)}.</figcaption></figure>"
    )


def _two(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"
