"""Instance maps of one image, read by the conventions of a preset."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Ints
from regdata.cells import MATCH_RADIUS_UM
from regdata.errors import RegdataError
from regdata.eval.conventions.presets import InstancePreset
from regdata.eval.metrics import (
    Overlaps,
    PanopticQuality,
    class_panoptic_quality,
    overlaps,
    panoptic_quality,
)

Labels = NDArray[np.integer[Any]]
Alternatives = Mapping[int, Collection[int]]
Quality = dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class InstanceOptions:
    """What is known besides the maps, and how intervals are drawn.

    Attributes
    ----------
    mpp, radius_um
        µm per pixel and the largest distance of paired centroids (preset regdata).
    slides
        (B,) slide or patient of each image: bootstrap draws are of these; images by default.
    alternatives
        (B,) for each image, by instance id, types that are right too (regdata and histoplus).
    chance_draws, draws, seed
        See `PointOptions`.
    """

    mpp: float = 0.25
    radius_um: float = MATCH_RADIUS_UM
    slides: Sequence[str] | None = None
    alternatives: Sequence[Alternatives] | None = None
    chance_draws: int = 20
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Stacks:
    """Instance and type maps of a set of images, each (B, H, W); types from 1 on, 0 for none."""

    gt_inst: Labels
    gt_type: Labels
    pred_inst: Labels
    pred_type: Labels

    def __len__(self) -> int:
        """Number of images."""
        return len(self.gt_inst)


@dataclass(frozen=True)
class ImagePair:
    """Annotated and predicted instances of one image, and their overlaps.

    Attributes
    ----------
    pairs
        Overlaps of the instances whatever their class.
    classed
        Overlaps of the instances as they count for classes, see `InstancePreset.gated`.
    true_class, predicted_class
        (N,) and (M,) int64, class of each in `classed`, from 0 on; -1 for none.
    quality
        Binary panoptic quality.
    classes
        Panoptic quality of each class.
    """

    pairs: Overlaps
    classed: Overlaps
    true_class: Ints
    predicted_class: Ints
    quality: PanopticQuality
    classes: tuple[PanopticQuality, ...]


def stacks(
    gt_inst: Labels, gt_type: Labels | None, pred_inst: Labels, pred_type: Labels | None
) -> Stacks:
    """Checked maps, (B, H, W) int64; without types every instance is of type 1.

    Parameters
    ----------
    gt_inst, gt_type, pred_inst, pred_type
        (B, H, W) or (H, W) int, see `score_instances`.
    """
    maps: list[NDArray[Any]] = []
    for inst, kind in ((gt_inst, gt_type), (pred_inst, pred_type)):
        ids = np.asarray(inst)
        maps += [ids, ids > 0 if kind is None else np.asarray(kind)]
    shapes = {one.shape for one in maps}
    if len(shapes) > 1 or maps[0].ndim not in (2, 3):
        raise RegdataError(
            f"expected four maps of one size, (B, H, W) or (H, W), got "
            f"{', '.join(str(one.shape) for one in maps)}"
        )
    if any(one.dtype.kind not in "biu" for one in maps):
        kinds = ", ".join(str(one.dtype) for one in maps)
        raise RegdataError(
            f"expected whole numbers in the maps of instances and types, got {kinds}"
        )
    height, width = maps[0].shape[-2:]
    maps = [one.astype(np.int64).reshape(-1, height, width) for one in maps]
    return Stacks(*maps)


def image_pair(
    maps: Stacks, i: int, rules: InstancePreset, classes: int, alternatives: Alternatives
) -> ImagePair:
    """Overlaps and qualities of one image of the set."""
    truth, predicted = maps.gt_inst[i], maps.pred_inst[i]
    pairs = overlaps(truth, predicted)
    if rules.gated:
        base = classes + 1
        gates = [
            np.where((inst > 0) & (kind > 0) & (kind <= classes), inst * base + kind, 0)
            for inst, kind in ((truth, maps.gt_type[i]), (predicted, maps.pred_type[i]))
        ]
        classed = overlaps(*gates)
        true_class, predicted_class = classed.true_ids % base - 1, classed.predicted_ids % base - 1
    else:
        classed = pairs
        true_class = majority(truth, maps.gt_type[i], pairs.true_ids, classes)
        predicted_class = majority(predicted, maps.pred_type[i], pairs.predicted_ids, classes)
        true_class = _resolved(true_class, predicted_class, pairs, alternatives)
    quality = panoptic_quality(classed if rules.gated_binary else pairs)
    per_class = class_panoptic_quality(classed, true_class, predicted_class, classes)
    return ImagePair(pairs, classed, true_class, predicted_class, quality, per_class)


def majority(inst: Labels, kind: Labels, ids: Ints, classes: int) -> Ints:
    """(N,) int64, class of most pixels of each instance, from 0 on; -1 where no pixel has one.

    Parameters
    ----------
    inst, kind
        (H, W) int, instances and types; type 0 is background and has no vote.
    ids
        (N,) int64, the instances, ascending.
    """
    inside = inst > 0
    place = np.searchsorted(ids, inst[inside])
    level = np.where(kind[inside] <= classes, kind[inside], 0)
    votes = np.bincount(place * (classes + 1) + level, minlength=len(ids) * (classes + 1))
    votes = votes.reshape(len(ids), classes + 1)
    votes[:, 0] = 0
    return np.where(votes.any(axis=1), votes.argmax(axis=1), 0).astype(np.int64) - 1


def quality_scores(
    quality: PanopticQuality, rules: InstancePreset, empty: str | None = None
) -> Quality:
    """DQ, SQ and PQ with the preset's epsilon; None where it leaves them undefined."""
    empty = rules.empty if empty is None else empty
    if (empty == "both" and quality.nuclei == 0) or (empty == "truth" and quality.annotated == 0):
        return {"dq": None, "sq": None, "pq": None}
    tp = quality.true_positive
    below = tp + 0.5 * (quality.false_positive + quality.false_negative) + rules.detection_epsilon
    matched = tp + rules.segmentation_epsilon
    dq = tp / below if below else 0.0
    sq = quality.iou / matched if matched else 0.0
    return {"dq": dq, "sq": sq, "pq": dq * sq}


def counts(quality: PanopticQuality) -> dict[str, int]:
    """Numbers of true positive, false positive and false negative nuclei."""
    return {
        "tp": quality.true_positive,
        "fp": quality.false_positive,
        "fn": quality.false_negative,
    }


def class_counts(classes: Ints, count: int) -> Ints:
    """(K,) int64, number of instances of each class; (N,) classes below 0 do not count."""
    return np.bincount(classes[classes >= 0], minlength=count)


def r2(truth: Ints, predicted: Ints) -> list[float | None]:
    """R² of the counts of each class, K values: 1 - squared error / spread of the truth.

    Where all images have the same count, it is 1 if all are right and else 0.
    None with fewer than two images.

    Parameters
    ----------
    truth, predicted
        (B, K) int64, instances of each class in each image.
    """
    if len(truth) < 2:
        return [None] * truth.shape[1]
    from sklearn.metrics import r2_score  # loads pandas: 2 s

    spread: list[float | None] = r2_score(truth, predicted, multioutput="raw_values").tolist()
    return spread


def mean(values: Collection[float | None]) -> float | None:
    """Mean of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _resolved(truth: Ints, predicted: Ints, pairs: Overlaps, alternatives: Alternatives) -> Ints:
    """Classes of annotated instances; that of the matched instance where it is right too."""
    if not alternatives:
        return truth
    label = truth.copy()
    for i, j in zip(pairs.rows[pairs.matched], pairs.columns[pairs.matched], strict=True):
        if int(predicted[j]) + 1 in alternatives.get(int(pairs.true_ids[i]), ()):
            label[i] = predicted[j]
    return label
