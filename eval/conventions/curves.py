"""Curves of a classifier: precision against recall, and scores by other conventions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.eval.conventions.point_scores import score_points
from regdata.eval.metrics import MatchedImage, score_classes


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of one class, its cells in order of falling probability.

    Attributes
    ----------
    recall, precision
        (T,) float64, at each probability that occurs; a missed nucleus keeps recall below 1.
    average
        Precision weighted by the recall it adds; None where the class is not annotated.
    """

    recall: Floats
    precision: Floats
    average: float | None


def precision_recall(images: Sequence[MatchedImage], one: int) -> PrecisionRecall:
    """Precision-recall curve of class `one` over all images, of every scored cell.

    Recall is of all annotated nuclei; scikit-learn's curve leaves out the missed ones.
    """
    kept, hit, annotated = [], [], 0
    for matched in images:
        truth = np.full(len(matched.xy), -1)
        truth[matched.pairs[:, 1]] = matched.truth[matched.pairs[:, 0]]
        scored = matched.free | (truth >= 0)
        kept.append(matched.probabilities[scored, one].astype(np.float64))
        hit.append(truth[scored] == one)
        annotated += int((matched.truth == one).sum())
    chance, right = np.concatenate(kept), np.concatenate(hit)
    if annotated == 0 or len(chance) == 0:
        return PrecisionRecall(np.zeros(0), np.zeros(0), None if annotated == 0 else 0.0)
    order = np.argsort(-chance, kind="stable")
    last = np.flatnonzero(np.diff(chance[order], append=np.nan) != 0)  # equal ones come together
    hits = np.cumsum(right[order])[last]
    recall, precision = hits / annotated, hits / (last + 1)
    return PrecisionRecall(recall, precision, float(np.diff(recall, prepend=0.0) @ precision))


def matched_classes(images: Sequence[MatchedImage]) -> dict[str, Any]:
    """`score_classes` of the cells that have an annotated partner: AUROC, calibration and more."""
    truth = np.concatenate([matched.truth[matched.pairs[:, 0]] for matched in images])
    chances = [matched.probabilities[matched.pairs[:, 1]] for matched in images]
    chance = np.concatenate(chances).astype(np.float64)
    return score_classes(truth, np.clip(chance, 0.0, 1.0))  # sums of float32 may exceed 1


def by_preset(
    images: Sequence[MatchedImage], classes: int, preset: str, radius_um: float | None = None
) -> dict[str, Any]:
    """Scores of the same cells by the conventions of a preset, see `score_points`.

    Pixels of images that differ in size are brought to those of the first.

    Parameters
    ----------
    radius_um
        Largest distance of a pair, µm; the preset's own by default.
    """
    reach = {} if radius_um is None else {"radius": radius_um, "unit": "um"}
    mpp = images[0].mpp
    annotated = [
        np.column_stack(
            [_column(i, matched.truth), matched.image.points_xy * matched.mpp / mpp, truth]
        )
        for i, matched in enumerate(images)
        if len(truth := matched.truth)
    ]
    given = []
    for i, matched in enumerate(images):
        counted = matched.free.copy()
        counted[matched.pairs[:, 1]] = True
        xy, guess = matched.xy[counted] * matched.mpp / mpp, matched.guess[counted]
        given.append(
            np.column_stack([_column(i, guess), xy, guess, matched.probabilities[counted].max(1)])
        )
    return score_points(
        np.concatenate([np.zeros((0, 4)), *annotated]),
        np.concatenate([np.zeros((0, 5)), *given]),
        preset,
        classes=tuple(range(classes)),
        n_images=len(images),
        mpp=mpp,
        slides=[matched.image.slide for matched in images],
        draws=0,
        **reach,
    )


def with_names(result: Any, classes: Sequence[str]) -> Any:
    """The result with names of classes instead of their numbers as keys.

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
