"""Precision, recall and F1 with bootstrap intervals, from counts per image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regdata.cells import MATCH_RADIUS_UM
from regdata.errors import RegdataError
from regdata.eval.metrics.counts import ImageCounts
from regdata.eval.metrics.intervals import (
    Estimate,
    estimates,
    image_weights,
    row_means,
    unit_sums,
)
from regdata.eval.metrics.rates import precision_recall_f1, rates_of

ABSENT_IS_ZERO = "F1 0, in the mean"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Precision, recall and F1 with their counts; None where the denominator is 0."""

    annotated: int
    predicted: int
    true_positive: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The rules by which scores are computed; written into every result.

    A pair of different classes is one false positive of the predicted class and one false
    negative of the annotated class. A class that is neither annotated nor predicted has no F1
    and is left out of the mean, also within a bootstrap draw.
    """

    radius_um: float = MATCH_RADIUS_UM
    draws: int = 1000
    seed: int = 0
    resample: Literal["image", "slide"] = "image"
    scope: str = "image"
    pooling: str = "counts summed over images"
    matching: str = "one-to-one over all classes, most pairs then least distance"
    absent_class: str = "no F1, left out of the mean"
    interval: str = "bootstrap percentiles 2.5 and 97.5"


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of a set of images.

    Attributes
    ----------
    confusion
        (K + 1, K + 1) int64, sum of the images' matrices, see `ImageCounts`.
    """

    classes: tuple[str, ...]
    images: int
    slides: int
    detection: Rates
    per_class: tuple[Rates, ...]
    mean_f1: float | None
    mean_f1_interval: tuple[float, float] | None
    confusion: NDArray[np.int64]
    conventions: Conventions

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        return {
            "images": self.images,
            "slides": self.slides,
            "mean_f1": self.mean_f1,
            "mean_f1_interval": self.mean_f1_interval,
            "detection": asdict(self.detection),
            "classes": {
                name: asdict(rates)
                for name, rates in zip(self.classes, self.per_class, strict=True)
            },
            "confusion": {
                "rows_annotated": [*self.classes, "no annotated cell"],
                "columns_predicted": [*self.classes, "missed"],
                "counts": self.confusion.tolist(),
            },
            "conventions": asdict(self.conventions),
        }


def score(
    images: Sequence[ImageCounts], classes: Sequence[str], conventions: Conventions | None = None
) -> Scores:
    """Precision, recall and F1 of counts summed over images, with bootstrap intervals.

    Examples
    --------
    >>> import numpy as np
    >>> counts = ImageCounts("a", "a", np.array([[3, 1], [1, 0]]))
    >>> score([counts], ["cell"]).mean_f1
    0.75
    """
    if not images:
        raise RegdataError("expected at least one annotated image to score, got none")
    conventions = conventions or Conventions()
    matrices = np.stack([image.confusion for image in images])
    total = matrices.sum(axis=0)
    by_slide = conventions.resample == "slide"
    units = unit_sums(matrices, [image.slide for image in images]) if by_slide else matrices
    drawn = image_weights(len(units), conventions.draws, conventions.seed)
    f1 = f1_scores(np.tensordot(drawn, units, axes=1))  # (1 + draws, K + 1)
    absent = None
    if conventions.absent_class == ABSENT_IS_ZERO:
        f1, absent = np.nan_to_num(f1), 0.0
    *per_class, detection = (_interval(estimate) for estimate in estimates(f1))
    (mean,) = estimates(row_means(f1[:, :-1]))
    return Scores(
        classes=tuple(classes),
        images=len(images),
        slides=len({image.slide for image in images}),
        detection=_rates(*_detection(total), detection, absent),
        per_class=tuple(
            _rates(*_class(total, c), per_class[c], absent) for c in range(len(classes))
        ),
        mean_f1=mean.value,
        mean_f1_interval=_interval(mean),
        confusion=total,
        conventions=conventions,
    )


def f1_scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, K + 1) float64, F1 of each class, then of detection; NaN where there are no cells.

    Parameters
    ----------
    sums
        (B, K + 1, K + 1) confusion matrices, see `ImageCounts`.
    """
    hits = np.diagonal(sums, axis1=1, axis2=2)[:, :-1]
    paired = sums[:, :-1, :-1].sum(axis=(1, 2))
    predicted, annotated = (sums.sum(axis=axis)[:, :-1] for axis in (1, 2))
    return precision_recall_f1(
        np.column_stack([hits, paired]),
        np.column_stack([predicted, predicted.sum(axis=1)]),
        np.column_stack([annotated, annotated.sum(axis=1)]),
    )[2]


def _class(total: NDArray[np.int64], c: int) -> tuple[int, int, int]:
    return int(total[c].sum()), int(total[:, c].sum()), int(total[c, c])


def _detection(total: NDArray[np.int64]) -> tuple[int, int, int]:
    return int(total[:-1].sum()), int(total[:, :-1].sum()), int(total[:-1, :-1].sum())


def _rates(
    annotated: int,
    predicted: int,
    hits: int,
    interval: tuple[float, float] | None,
    absent: float | None,
) -> Rates:
    return Rates(
        annotated=annotated,
        predicted=predicted,
        true_positive=hits,
        **rates_of(hits, predicted, annotated, absent),
        f1_interval=interval,
    )


def _interval(estimate: Estimate) -> tuple[float, float] | None:
    low, high = estimate.low, estimate.high
    return None if low is None or high is None else (low, high)
