"""Precision, recall and F1 with bootstrap intervals, from counts per image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.eval.counts import ImageCounts

_INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 with their counts; None where the denominator is 0."""

    annotated: int
    predicted: int
    true_positive: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Conventions:
    """How a score came about; written into every result.

    A pair of different classes is one false positive of the predicted class and one false
    negative of the annotated class. A class that is neither annotated nor predicted has no F1
    and is left out of the mean, also within a bootstrap draw.
    """

    radius_um: float = 3.75
    draws: int = 1000
    seed: int = 0
    resample: Literal["image", "slide"] = "image"
    scope: str = "image"
    pooling: str = "counts summed over images"
    matching: str = "one-to-one over all classes, most pairs then least distance"
    absent_class: str = "no F1, left out of the mean"
    interval: str = "bootstrap percentiles 2.5 and 97.5"


@dataclass(frozen=True)
class Scores:
    """Scores of a set of images.

    Attributes
    ----------
    confusion
        Sum of the images' matrices, see `ImageCounts`.
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
    """Sum the counts over images, and derive rates and bootstrap intervals.

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
    drawn = _f1(_bootstrap(matrices, images, conventions))  # (draws, K + 1)
    intervals = [_interval(column) for column in drawn.T]
    f1 = _f1(total[None])[0]
    return Scores(
        tuple(classes),
        len(images),
        len({image.slide for image in images}),
        _rates(*_detection(total), intervals[-1]),
        tuple(_rates(*_class(total, c), intervals[c]) for c in range(len(classes))),
        _number(_row_means(f1[None, :-1])[0]),
        _interval(_row_means(drawn[:, :-1])),
        total,
        conventions,
    )


def _bootstrap(
    matrices: NDArray[np.int64], images: Sequence[ImageCounts], conventions: Conventions
) -> NDArray[np.int64]:
    """Sum resampled images or slides: (draws, K + 1, K + 1); no draws from a single one."""
    names = [str(i) for i in range(len(images))]
    if conventions.resample == "slide":
        names = [image.slide for image in images]
    unique, index = np.unique(names, return_inverse=True)
    units = np.zeros((len(unique), *matrices.shape[1:]), np.int64)
    np.add.at(units, index, matrices)
    if len(units) < 2:
        return np.zeros((0, *matrices.shape[1:]), np.int64)
    rng = np.random.default_rng(conventions.seed)
    share = np.full(len(units), 1 / len(units))
    times = rng.multinomial(len(units), share, size=conventions.draws)
    return np.tensordot(times, units, axes=1)


def _f1(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B, K + 1, K + 1) -> (B, K + 1): F1 per class, then of detection; NaN without cells."""
    hits = np.diagonal(sums, axis1=1, axis2=2)[:, :-1]
    cells = (sums.sum(axis=1) + sums.sum(axis=2))[:, :-1]  # predicted + annotated
    found = sums[:, :-1, :-1].sum(axis=(1, 2))
    twice = 2 * np.column_stack([hits, found])
    below = np.column_stack([cells, cells.sum(axis=1)])
    f1: NDArray[np.float64] = np.full(below.shape, np.nan)
    np.divide(twice, below, out=f1, where=below > 0)
    return f1


def _class(total: NDArray[np.int64], c: int) -> tuple[int, int, int]:
    return int(total[c].sum()), int(total[:, c].sum()), int(total[c, c])


def _detection(total: NDArray[np.int64]) -> tuple[int, int, int]:
    return int(total[:-1].sum()), int(total[:, :-1].sum()), int(total[:-1, :-1].sum())


def _rates(
    annotated: int, predicted: int, hits: int, interval: tuple[float, float] | None
) -> Rates:
    cells = annotated + predicted
    return Rates(
        annotated,
        predicted,
        hits,
        hits / predicted if predicted else None,
        hits / annotated if annotated else None,
        2 * hits / cells if cells else None,
        interval,
    )


def _row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row without its NaN; NaN for a row of NaN."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    means: NDArray[np.float64] = np.full(len(values), np.nan)
    np.divide(sums, count, out=means, where=count > 0)
    return means


def _interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    low, high = np.percentile(known, _INTERVAL)
    return float(low), float(high)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
