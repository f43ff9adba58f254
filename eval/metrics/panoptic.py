"""Panoptic quality (Kirillov et al., 2019) of nuclei, of all together and class by class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.eval.metrics.instances import Overlaps, assigned


@dataclass(frozen=True)
class PanopticQuality:
    """Counts behind DQ, SQ and PQ; those of several images add up.

    Attributes
    ----------
    iou
        Sum of the IoU of the matched pairs.
    """

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    iou: float = 0.0

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        """Counts of the nuclei of both together."""
        return PanopticQuality(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.iou + other.iou,
        )

    @property
    def annotated(self) -> int:
        """Number of annotated nuclei."""
        return self.true_positive + self.false_negative

    @property
    def predicted(self) -> int:
        """Number of predicted nuclei."""
        return self.true_positive + self.false_positive

    @property
    def nuclei(self) -> int:
        """Number of nuclei of both sides."""
        return self.annotated + self.predicted

    @property
    def dq(self) -> float | None:
        """Detection quality, an F1; None without a nucleus on either side."""
        return 2 * self.true_positive / self.nuclei if self.nuclei else None

    @property
    def sq(self) -> float | None:
        """Segmentation quality: mean IoU of the matched, 0 without any; None as `dq`."""
        return self.iou / max(1, self.true_positive) if self.nuclei else None

    @property
    def pq(self) -> float | None:
        """DQ times SQ; None without a nucleus on either side, 0 if there are some on one only."""
        return 2 * self.iou / self.nuclei if self.nuclei else None


def panoptic_quality(pairs: Overlaps, min_iou: float = 0.5) -> PanopticQuality:
    """Binary panoptic quality of one image: pairs with IoU > 0.5 are matched.

    Below that a nucleus may be in several pairs: of the assignment of highest total IoU those
    above `min_iou` are matched.

    Examples
    --------
    >>> from regdata.eval.metrics.instances import overlaps
    >>> panoptic_quality(overlaps(np.array([[1, 1, 2]]), np.array([[3, 3, 0]]))).pq
    0.6666666666666666
    """
    hits = np.flatnonzero(pairs.matched)
    if min_iou != 0.5:
        chosen = assigned(pairs) if min_iou < 0.5 else np.arange(len(pairs.rows))
        hits = chosen[pairs.iou[chosen] > min_iou]
    count = len(hits)
    return PanopticQuality(
        count,
        len(pairs.predicted_ids) - count,
        len(pairs.true_ids) - count,
        float(pairs.iou[hits].sum()),
    )


def class_panoptic_quality(
    pairs: Overlaps,
    true_class: NDArray[np.integer[Any]],
    predicted_class: NDArray[np.integer[Any]],
    classes: int,
) -> tuple[PanopticQuality, ...]:
    """Panoptic quality of each class: a pair counts where both nuclei have the class.

    A pair of different classes is a false negative of one and a false positive of the other.
    Annotated nuclei below 0, which have no class, and what is matched to them count nowhere.

    Parameters
    ----------
    true_class, predicted_class
        (N,) and (M,) int, class of each nucleus in the order of `pairs.true_ids` and
        `pairs.predicted_ids`, from 0 on.
    """
    rows, columns = pairs.rows[pairs.matched], pairs.columns[pairs.matched]
    iou, same = pairs.iou[pairs.matched], true_class[rows] == predicted_class[columns]
    kept = np.ones(len(predicted_class), bool)
    kept[columns[true_class[rows] < 0]] = False
    result = []
    for c in range(classes):
        hits = same & (true_class[rows] == c)
        count = int(hits.sum())
        predicted = int((predicted_class[kept] == c).sum())
        missed = int((true_class == c).sum()) - count
        result.append(PanopticQuality(count, predicted - count, missed, float(iou[hits].sum())))
    return tuple(result)
