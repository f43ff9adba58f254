"""Curves behind a score: precision against recall, and how far probabilities can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.eval.conventions.point_scores import score_points
from regdata.eval.metrics import FoundImage, score_classes


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of one class as its cells are taken by falling probability.

    Attributes
    ----------
    recall, precision
        (T,) at each probability that occurs; a missed nucleus keeps recall below 1.
    average
        Precision weighed by the recall it adds; None where the class is not annotated.
    """

    recall: Floats
    precision: Floats
    average: float | None


def precision_recall(images: Sequence[FoundImage], one: int) -> PrecisionRecall:
    """The curve of class `one` over all images: every scored cell counts, by its probability.

    Recall is of all annotated nuclei; scikit-learn's curve knows only of those that were found.
    """
    kept, hit, annotated = [], [], 0
    for found in images:
        truth = np.full(len(found.xy), -1)
        truth[found.pairs[:, 1]] = found.truth[found.pairs[:, 0]]
        scored = found.free | (truth >= 0)
        kept.append(found.probabilities[scored, one].astype(np.float64))
        hit.append(truth[scored] == one)
        annotated += int((found.truth == one).sum())
    chance, right = np.concatenate(kept), np.concatenate(hit)
    if annotated == 0 or len(chance) == 0:
        return PrecisionRecall(np.zeros(0), np.zeros(0), None if annotated == 0 else 0.0)
    order = np.argsort(-chance, kind="stable")
    last = np.flatnonzero(np.diff(chance[order], append=np.nan) != 0)  # equal ones come together
    hits = np.cumsum(right[order])[last]
    recall, precision = hits / annotated, hits / (last + 1)
    return PrecisionRecall(recall, precision, float(np.diff(recall, prepend=0.0) @ precision))


def matched_classes(images: Sequence[FoundImage]) -> dict[str, Any]:
    """`score_classes` of the cells that have an annotated partner: AUROC, calibration and more."""
    truth = np.concatenate([found.truth[found.pairs[:, 0]] for found in images])
    chances = [found.probabilities[found.pairs[:, 1]] for found in images]
    chance = np.concatenate(chances).astype(np.float64)
    return score_classes(truth, np.clip(chance, 0.0, 1.0))  # sums of float32 may exceed 1


def by_preset(
    images: Sequence[FoundImage], classes: int, preset: str, radius_um: float | None = None
) -> dict[str, Any]:
    """The same cells scored by the conventions of a preset, see `score_points`.

    Pixels of images that differ in size are brought to those of the first.

    Parameters
    ----------
    radius_um
        The preset's own by default.
    """
    reach = {} if radius_um is None else {"radius": radius_um, "unit": "um"}
    mpp = images[0].mpp
    annotated = [
        np.column_stack([_column(i, found.truth), found.image.points_xy * found.mpp / mpp, truth])
        for i, found in enumerate(images)
        if len(truth := found.truth)
    ]
    given = []
    for i, found in enumerate(images):
        counted = found.free.copy()
        counted[found.pairs[:, 1]] = True
        xy, guess = found.xy[counted] * found.mpp / mpp, found.guess[counted]
        given.append(
            np.column_stack([_column(i, guess), xy, guess, found.probabilities[counted].max(1)])
        )
    return score_points(
        np.concatenate([np.zeros((0, 4)), *annotated]),
        np.concatenate([np.zeros((0, 5)), *given]),
        preset,
        classes=tuple(range(classes)),
        n_images=len(images),
        mpp=mpp,
        slides=[found.image.slide for found in images],
        draws=0,
        **reach,
    )


def with_names(result: Any, classes: Sequence[str]) -> Any:
    """The same result with names where it has numbers of classes for keys.

    Examples
    --------
    >>> with_names({"types": {"1": {"f1": 0.5}}}, ["other", "tumour"])
    {'types': {'tumour': {'f1': 0.5}}}
    """
    if not isinstance(result, dict):
        return result
    names = {str(k): name for k, name in enumerate(classes)}
    return {names.get(key, key): with_names(value, classes) for key, value in result.items()}


def _column(value: int, like: NDArray[np.int64]) -> Floats:
    return np.full(len(like), float(value))
