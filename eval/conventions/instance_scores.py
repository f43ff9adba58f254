"""Dice, AJI, panoptic quality and classes of instance maps, by the conventions of a preset."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.eval.conventions.instance_cells import score_histoplus, score_regdata
from regdata.eval.conventions.instance_images import (
    ImagePair,
    InstanceOptions,
    Labels,
    Stacks,
    class_counts,
    counts,
    image_pair,
    mean,
    quality_scores,
    r2,
    stacks,
)
from regdata.eval.conventions.presets import (
    INSTANCES,
    InstancePreset,
    find_preset,
    with_conventions,
)
from regdata.eval.metrics import PanopticQuality, aji, aji_plus, dice, dice2, panoptic_quality

Result = dict[str, Any]
Tissues = Sequence[str] | NDArray[np.str_] | None

_HOVERNET_MEANS = ("dice1", "aji", "dq", "sq", "pq", "aji_plus")
_PANNUKE_CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Non-Neoplastic")
_PANNUKE_TISSUES = (
    "Adrenal_gland", "Bile-duct", "Bladder", "Breast", "Cervix", "Colon", "Esophagus", "HeadNeck",
    "Kidney", "Liver", "Lung", "Ovarian", "Pancreatic", "Prostate", "Skin", "Stomach", "Testis",
    "Thyroid", "Uterus",
)  # fmt: skip


def score_instances(
    gt_inst: Labels,
    gt_type: Labels | None,
    pred_inst: Labels,
    pred_type: Labels | None,
    preset: str = "regdata",
    tissues: Tissues = None,
    **conventions: Any,
) -> Result:
    """Scores of predicted instances against annotated ones, with the preset's names of results.

    Each result also holds the `conventions` it was computed by.

    Parameters
    ----------
    gt_inst, pred_inst
        (B, H, W) or (H, W) int, ids of the instances of each image, 0 = background.
    gt_type, pred_type
        The same shape, int, class of each pixel from 1 on, 0 = background; None: of one class.
    preset
        regdata, hovernet, conic, cellvitpp, pannuke or histoplus; see docs/metrics.md.
    tissues
        (B,) tissue of each image (presets regdata and pannuke).
    conventions
        Fields of `InstanceOptions`, and of `InstancePreset` where they should differ.

    Raises
    ------
    RegdataError
        The maps differ in size, or there is no such preset or convention.

    Examples
    --------
    >>> truth, predicted = np.array([[1, 1, 0, 2]]), np.array([[1, 1, 0, 0]])
    >>> score_instances(truth, None, predicted, None)["binary"]["bpq"]["value"]
    0.6666666666666666
    """
    start = find_preset(INSTANCES, preset, "instances")
    rules, options = with_conventions(start, InstanceOptions(), conventions)
    maps = stacks(gt_inst, gt_type, pred_inst, pred_type)
    _check(maps, rules, options, tissues)
    highest = max(int(maps.gt_type.max(initial=1)), int(maps.pred_type.max(initial=1)))
    classes = highest if rules.n_types is None else rules.n_types
    images = [
        image_pair(maps, i, rules, classes, options.alternatives[i] if options.alternatives else {})
        for i in range(len(maps))
    ]
    if rules.layout == "regdata":
        result = score_regdata(maps, images, options, tissues)
    elif rules.layout == "histoplus":
        result = score_histoplus(images, options)
    else:
        result = _LAYOUTS[rules.layout](images, rules, tissues)
    about = {"preset": preset, **asdict(rules), "n_types": classes}
    how = {name: getattr(options, name) for name in ("mpp", "radius_um", "draws", "seed")}
    return result | {"conventions": about | how | {"slides": options.slides is not None}}


def _check(maps: Stacks, rules: InstancePreset, options: InstanceOptions, tissues: Tissues) -> None:
    if not len(maps):
        raise RegdataError("expected at least one image, got none")
    given = {"tissues": tissues, "slides": options.slides, "alternatives": options.alternatives}
    for name, values in given.items():
        if values is not None and len(values) != len(maps):
            raise RegdataError(f"expected {name} of {len(maps)} image(s), got {len(values)}")
    if options.alternatives is not None and rules.gated:
        raise RegdataError("alternatives= need gated=False: one class per instance")


def _hovernet(images: list[ImagePair], rules: InstancePreset, _: Tissues) -> Result:
    rows: list[Result] = []
    for image in images:
        low = quality_scores(panoptic_quality(image.pairs, 0.3), rules)
        rows.append(
            {
                "dice1": dice(image.pairs),
                "dice2": dice2(image.pairs),
                "aji": aji(image.pairs),
                "aji_plus": aji_plus(image.pairs),
                **quality_scores(image.quality, rules),
                **counts(image.quality),
                "pq_iou0.3": low,
            }
        )
    means = {name: mean([row[name] for row in rows]) for name in _HOVERNET_MEANS}
    return {"hovernet_per_image": rows, "hovernet_dataset_mean": means}


def _conic(images: list[ImagePair], rules: InstancePreset, _: Tissues) -> Result:
    rows: list[Result] = [
        {
            **quality_scores(image.quality, rules),
            **counts(image.quality),
            "sum_iou": image.quality.iou,
        }
        for image in images
    ]
    pooled = _pooled(images)
    per_class: Result = {
        str(c): {
            **quality_scores(quality, rules),
            **{name: float(count) for name, count in counts(quality).items()},
            "sum_iou": quality.iou,
        }
        for c, quality in enumerate(pooled, 1)
    }
    size = len(pooled)
    truth = np.stack([class_counts(image.true_class, size) for image in images])
    predicted = np.stack([class_counts(image.predicted_class, size) for image in images])
    spread = r2(truth, predicted)
    dataset = {
        "pq": mean([row["pq"] for row in rows]),
        "pq_per_image": [row["pq"] for row in rows],
        "mpq_plus": mean([row["pq"] for row in per_class.values()]),
        "per_class": per_class,
        "r2": mean(spread),
        "r2_per_class": spread,
    }
    return {"conic_pq_per_image": rows, "conic_dataset": dataset}


def _cellvitpp(images: list[ImagePair], rules: InstancePreset, _: Tissues) -> Result:
    rows: list[Result] = []
    for image in images:
        per_class: Result = {
            str(c): {**counts(q), "sum_iou": q.iou, "pq": quality_scores(q, rules)["pq"]}
            for c, q in enumerate(image.classes, 1)
        }
        rows.append(
            {
                "class": per_class,
                "binary": quality_scores(image.quality, rules, "zero"),
                "mPQ_image": mean([row["pq"] for row in per_class.values()]),
            }
        )
    dataset = {
        "mPQ": mean([row["mPQ_image"] for row in rows]),
        "mPQ+": mean([quality_scores(quality, rules, "zero")["pq"] for quality in _pooled(images)]),
        "bPQ": mean([row["binary"]["pq"] for row in rows]),
    }
    return {"cellvitpp_per_image": rows, "cellvitpp_dataset": dataset}


def _pannuke(images: list[ImagePair], rules: InstancePreset, tissues: Tissues) -> Result:
    rows: list[Result] = []
    for image in images:
        class_pq = [quality_scores(quality, rules)["pq"] for quality in image.classes]
        binary = quality_scores(image.quality, rules)["pq"]
        rows.append({"bPQ": binary, "class_pq": class_pq, "mPQ_image": mean(class_pq)})
    size = len(images[0].classes)
    named = size == len(_PANNUKE_CLASSES)
    names = _PANNUKE_CLASSES if named else [f"Class {c + 1}" for c in range(size)]
    run = {f"{name} PQ": mean([row["class_pq"][c] for row in rows]) for c, name in enumerate(names)}
    here = [str(tissue) for tissue in tissues] if tissues is not None else ["All"] * len(rows)
    more = sorted(set(here) - set(_PANNUKE_TISSUES))
    parts = [*(_PANNUKE_TISSUES if tissues is not None else ()), *more]
    averages: dict[str, list[float | None]] = {"mPQ": [], "bPQ": []}
    for part in parts:
        own = [row for row, tissue in zip(rows, here, strict=True) if tissue == part]
        multi, binary = (mean([row[name] for row in own]) for name in ("mPQ_image", "bPQ"))
        run |= {f"{part} PQ": multi, f"{part} PQ binary": binary}
        averages["mPQ"].append(multi)
        averages["bPQ"].append(binary)
    run |= {f"Average {name}": mean(values) for name, values in averages.items()}
    return {"pannuke_per_image": rows, "pannuke_run": run}


def _pooled(images: list[ImagePair]) -> list[PanopticQuality]:
    """Panoptic quality of each class over the nuclei of all images."""
    columns = zip(*(image.classes for image in images), strict=True)
    return [sum(column, PanopticQuality()) for column in columns]


_LAYOUTS: dict[str, Callable[[list[ImagePair], InstancePreset, Tissues], Result]] = {
    "hovernet": _hovernet,
    "conic": _conic,
    "cellvitpp": _cellvitpp,
    "pannuke": _pannuke,
}
