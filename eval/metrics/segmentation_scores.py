"""Scores of a set of images: means, pooled counts and bootstrap intervals over images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.errors import RegdataError
from regdata.eval.metrics.image_score import ImageScore
from regdata.eval.metrics.intervals import (
    Estimate,
    estimates,
    row_means,
    unit_weights,
    weighted_means,
)
from regdata.eval.metrics.rates import precision_recall_f1, ratio


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """Scores of one class.

    Attributes
    ----------
    annotated, predicted
        Number of nuclei on either side.
    pq
        Mean of the images in which the class is annotated (as PanNuke and CellViT++ count).
    pq_pooled
        PQ of all images' nuclei together; those predicted in images without the class count too.
    f1
        2 TP / (2 TP + 2 wrong class either way + unpaired of either side), as HoVer-Net counts:
        of centroids paired within the radius, a wrong class weighs twice.
    recall
        Of the nuclei of the class that were paired, the share given the class.
    """

    name: str
    annotated: int
    predicted: int
    pq: Estimate
    pq_pooled: Estimate
    f1: Estimate
    recall: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        return {
            "name": self.name,
            "annotated": self.annotated,
            "found": self.predicted,
            **{name: asdict(getattr(self, name)) for name in ("pq", "pq_pooled", "f1", "recall")},
        }


@dataclass(frozen=True)
class ClassScores:
    """Scores of all classes; a class that is in no image is left out of every mean.

    Attributes
    ----------
    mpq
        Per image the mean over classes annotated there, then the mean over images.
    mpq_plus
        Mean of the classes' pooled PQ.
    balanced_accuracy
        Mean of the classes' recall among paired nuclei.
    confusion
        (K + 1, K + 1) int64, sum of the images' matrices, see `ImageCounts`.
    """

    classes: tuple[ClassScore, ...]
    mpq: Estimate
    mpq_plus: Estimate
    mean_f1: Estimate
    balanced_accuracy: Estimate
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        names = [score.name for score in self.classes]
        return {
            **{
                name: asdict(getattr(self, name))
                for name in ("mpq", "mpq_plus", "mean_f1", "balanced_accuracy")
            },
            "per_class": {score.name: score.to_dict() for score in self.classes},
            "confusion": {
                "rows_annotated": [*names, "no annotated cell"],
                "columns_predicted": [*names, "missed"],
                "counts": self.confusion.tolist(),
            },
        }


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of a set of images.

    Attributes
    ----------
    binary
        Mean over images by name of the score, see `ImageScore.metrics`.
    """

    images: tuple[ImageScore, ...]
    binary: dict[str, Estimate]
    classes: ClassScores | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        names = [score.name for score in self.classes.classes] if self.classes else []
        return {
            "binary": {name: asdict(value) for name, value in self.binary.items()},
            "classes": self.classes.to_dict() if self.classes else None,
            "images": [_row(image, names) for image in self.images],
        }


def summarise(
    images: Sequence[ImageScore],
    classes: Sequence[str] = (),
    draws: int = 1000,
    seed: int = 0,
    units: Sequence[str] | None = None,
) -> SegmentationScores:
    """Mean scores over images, with 95 % intervals from images drawn with replacement.

    Parameters
    ----------
    classes
        Names of the scored classes; none by default.
    units
        Slide or patient of each image, which are drawn whole; images by default.

    Raises
    ------
    RegdataError
        There is no image.
    """
    if not images:
        raise RegdataError("expected at least one annotated image to score, got none")
    rows = [image.metrics() for image in images]
    table = np.array([[_nan(value) for value in row.values()] for row in rows])
    units = [f"{i:09d}" for i in range(len(images))] if units is None else units
    weights = unit_weights(units, draws, seed)
    means = estimates(weighted_means(table, weights))
    binary = dict(zip(rows[0], means, strict=True))
    named = [i for i, image in enumerate(images) if image.confusion is not None]
    weights = unit_weights([units[i] for i in named], draws, seed)
    chosen = [images[i] for i in named]
    per_class = _class_scores(chosen, classes, weights) if named and classes else None
    return SegmentationScores(tuple(images), binary, per_class)


def _class_scores(
    images: Sequence[ImageScore], names: Sequence[str], weights: Floats
) -> ClassScores:
    """Scores of the classes over the images that have classes."""
    pq = np.array([[_nan(q.pq) if q.annotated else np.nan for q in i.classes] for i in images])
    iou, nuclei = (
        np.array([[getattr(q, name) for q in image.classes] for image in images], np.float64)
        for name in ("iou", "nuclei")
    )
    pooled = ratio(2 * weights @ iou, weights @ nuclei)
    matrices = np.stack([np.asarray(image.confusion) for image in images])
    f1, recall = _classification(np.tensordot(weights, matrices, axes=1))
    total = matrices.sum(axis=0)
    columns = (estimates(v) for v in (weighted_means(pq, weights), pooled, f1, recall))
    scores = [
        ClassScore(
            name=name,
            annotated=int(total[c].sum()),
            predicted=int(total[:, c].sum()),
            pq=pq_mean,
            pq_pooled=pq_pooled,
            f1=f1_mean,
            recall=recall_mean,
        )
        for c, (name, pq_mean, pq_pooled, f1_mean, recall_mean) in enumerate(
            zip(names, *columns, strict=True)
        )
    ]
    means = (weighted_means(row_means(pq), weights), *map(row_means, (pooled, f1, recall)))
    mpq, mpq_plus, mean_f1, accuracy = (estimates(mean)[0] for mean in means)
    return ClassScores(tuple(scores), mpq, mpq_plus, mean_f1, accuracy, total)


def _classification(counts: Floats) -> tuple[Floats, Floats]:
    """F1 and recall among the paired, (B, K) each, of confusion matrices (B, K + 1, K + 1)."""
    hits = np.diagonal(counts, axis1=1, axis2=2)[:, :-1]
    inner = counts[:, :-1, :-1]
    true, given = inner.sum(axis=2), inner.sum(axis=1)  # of the paired nuclei
    annotated = hits + 2 * (true - hits) + counts[:, :-1, -1]  # a wrong class weighs twice
    predicted = hits + 2 * (given - hits) + counts[:, -1, :-1]
    return precision_recall_f1(hits, predicted, annotated)[2], ratio(hits, true)


def _row(image: ImageScore, names: Sequence[str]) -> dict[str, Any]:
    counts = {"annotated": image.annotated, "found": image.predicted, "paired": image.paired}
    row: dict[str, Any] = {"name": image.name, **counts, **image.metrics()}
    if names and image.confusion is not None:
        pq = {name: q.pq for name, q in zip(names, image.classes, strict=True)}
        row |= {"pq": pq, "confusion": image.confusion.tolist()}
    return row


def _nan(value: float | None) -> float:
    return np.nan if value is None else value
