"""Scores of instances that have one class per cell: the default preset and HistoPLUS."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.cells import centroids
from regdata.eval.conventions.instance_images import (
    ImagePair,
    InstanceOptions,
    Stacks,
    class_counts,
    mean,
    r2,
)
from regdata.eval.conventions.point_scores import score_points
from regdata.eval.metrics import (
    Conventions,
    ImageCounts,
    ImageScore,
    PanopticQuality,
    Partners,
    Points,
    aji,
    aji_plus,
    confusion,
    dice,
    dice2,
    match_points,
    score,
    summarise,
    tally,
)

Result = dict[str, Any]


def score_regdata(
    maps: Stacks,
    images: Sequence[ImagePair],
    options: InstanceOptions,
    tissues: Sequence[str] | NDArray[np.str_] | None,
) -> Result:
    """All scores of the default preset.

    Parameters
    ----------
    tissues
        Tissue of each image.

    Returns
    -------
    dict
        `binary`, `classes` and `images` as of `SegmentationScores`; `cells`, the centroids as
        scored by `score_points`; `dice2`, `r2` (mean and per class); `tissues`: bPQ and mPQ of
        each.
    """
    size = len(images[0].classes)
    true_xy = [centroids(maps.gt_inst[i], image.pairs.true_ids) for i, image in enumerate(images)]
    predicted_xy = [
        centroids(maps.pred_inst[i], image.pairs.predicted_ids) for i, image in enumerate(images)
    ]
    scored = [
        _image_score(str(i), image, true_xy[i], predicted_xy[i], options)
        for i, image in enumerate(images)
    ]
    names = [str(c) for c in range(1, size + 1)]
    result = summarise(scored, names, options.draws, options.seed, options.slides).to_dict()
    second = [dice2(image.pairs) for image in images]
    for row, value in zip(result["images"], second, strict=True):
        row["dice2"] = value
    truth = np.stack([class_counts(image.true_class, size) for image in images])
    predicted = np.stack([class_counts(image.predicted_class, size) for image in images])
    spread = r2(truth, predicted)
    result |= {"dice2": mean(second), "r2": {"mean": mean(spread), "per_class": spread}}
    result["cells"] = _cells(maps, images, true_xy, predicted_xy, options)
    if tissues is not None:
        result["tissues"] = _tissues(scored, tissues)
    return result


def score_histoplus(images: Sequence[ImagePair], options: InstanceOptions) -> Result:
    """Detection, class F1 and panoptic quality of instances that pair where IoU > 0.5.

    The published rule asks for an assignment of centroids *and* an IoU above 0.5; no instance is
    in two such pairs, so the second decides.

    Returns
    -------
    dict
        As of `Scores.to_dict`, and `pq`: DQ, SQ and PQ, means over images.
    """
    size = len(images[0].classes)
    counted = []
    for i, image in enumerate(images):
        hits = image.pairs.matched
        pairs = np.column_stack([image.pairs.rows[hits], image.pairs.columns[hits]])
        matrix = tally(
            Partners(image.true_class, _named(image.predicted_class, size), pairs), size + 1
        )
        slide = str(i) if options.slides is None else str(options.slides[i])
        counted.append(ImageCounts(str(i), slide, _without_unnamed(matrix[0])))
    how = Conventions(
        draws=options.draws,
        seed=options.seed,
        resample="image" if options.slides is None else "slide",
    )
    result = score(counted, [str(c) for c in range(1, size + 1)], how).to_dict()
    del result["conventions"]
    qualities = [image.quality for image in images]
    names = ("dq", "sq", "pq")
    result["pq"] = {name: mean([getattr(q, name) for q in qualities]) for name in names}
    return result


def _image_score(
    name: str, image: ImagePair, true_xy: Floats, predicted_xy: Floats, options: InstanceOptions
) -> ImageScore:
    radius = options.radius_um / options.mpp
    size = len(image.classes)
    # a predicted instance without a class gets an extra class, which is removed again below
    guess = _named(image.predicted_class, size)
    matrix = confusion(
        Points(true_xy, image.true_class), Points(predicted_xy, guess), size + 1, radius
    )
    return ImageScore(
        name=name,
        annotated=len(true_xy),
        predicted=len(predicted_xy),
        paired=len(match_points(true_xy, predicted_xy, radius)),
        dice=dice(image.pairs),
        aji=aji(image.pairs),
        aji_plus=aji_plus(image.pairs),
        quality=image.quality,
        classes=image.classes,
        confusion=_without_unnamed(matrix),
    )


def _named(classes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.where(classes < 0, size, classes)


def _without_unnamed(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Confusion matrix without its last class; nuclei predicted as that class are missed."""
    kept = np.delete(np.delete(matrix, -2, axis=0), -2, axis=1)
    kept[:-1, -1] += matrix[:-2, -2]
    return kept


def _cells(
    maps: Stacks,
    images: Sequence[ImagePair],
    true_xy: Sequence[Floats],
    predicted_xy: Sequence[Floats],
    options: InstanceOptions,
) -> Result:
    tables = []
    for xys, side in ((true_xy, "true_class"), (predicted_xy, "predicted_class")):
        rows = [
            np.column_stack([np.full(len(xy), i), xy, getattr(image, side) + 1])
            for i, (xy, image) in enumerate(zip(xys, images, strict=True))
        ]
        tables.append(np.concatenate([np.zeros((0, 4)), *rows]))
    truth, predicted = tables
    truth[truth[:, 3] == 0, 3] = -1
    predicted = predicted[predicted[:, 3] > 0]
    height, width = maps.gt_inst.shape[1:]
    return score_points(
        truth,
        np.column_stack([predicted, np.ones(len(predicted))]),
        classes=range(1, len(images[0].classes) + 1),
        n_images=len(images),
        mpp=options.mpp,
        slides=options.slides,
        size=(width, height),
        radius=options.radius_um / options.mpp,
        chance_draws=options.chance_draws,
        draws=options.draws,
        seed=options.seed,
    )


def _tissues(scored: Sequence[ImageScore], tissues: Sequence[str] | NDArray[np.str_]) -> Result:
    groups = defaultdict(list)
    for image, tissue in zip(scored, tissues, strict=True):
        groups[str(tissue)].append(image)
    return {
        name: {
            "images": len(images),
            "bpq": mean([image.quality.pq for image in images]),
            "mpq": mean([mean([_pq(q) for q in image.classes]) for image in images]),
        }
        for name, images in sorted(groups.items())
    }


def _pq(quality: PanopticQuality) -> float | None:
    """PQ of a class in an image where it is annotated."""
    return quality.pq if quality.annotated else None
