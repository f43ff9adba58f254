"""Scores by the published pooling of CellViT++, for comparison."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.eval.conventions import score_points

_RADIUS_PX = 15.0


@dataclass(frozen=True)
class Classified:
    """Nuclei of one image.

    Attributes
    ----------
    slide
        The slide the image was cut from.
    xy
        (N, 2) float64, pixels of the image.
    label
        (N,) int64, class, below 0 for nuclei without a class.
    score
        (N,) float, of predictions; not used of annotations.
    """

    slide: str
    xy: NDArray[np.float64]
    label: NDArray[np.int64]
    score: NDArray[np.floating]


def legacy_scores(
    truth: Sequence[Classified], heads: Sequence[Sequence[Classified]], names: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """F1 per class with all images of a slide in one frame, and that of random points.

    Parameters
    ----------
    truth
        Annotated nuclei of each image.
    heads
        Per head the nuclei of each image as it classifies them; the first is that of the
        auto-labels, the others are experts'.
    """
    slides = [one.slide for one in truth]
    annotated = np.concatenate([_rows(i, one) for i, one in enumerate(truth)])
    results = []
    for head in heads:
        predicted = [np.column_stack([_rows(i, one), one.score]) for i, one in enumerate(head)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shown beside its chance level, as what it is
            results.append(
                score_points(
                    annotated[annotated[:, 3] >= 0],
                    np.concatenate(predicted),
                    "legacy-overlay",
                    radius=_RADIUS_PX,
                    slides=slides,
                    n_images=len(truth),
                    classes=list(range(len(names))),
                )
            )
    return {name: _row(results, str(k)) for k, name in enumerate(names)}


def _rows(i: int, one: Classified) -> NDArray[np.float64]:
    return np.column_stack([np.full(len(one.xy), float(i)), one.xy, one.label])


def _row(results: Sequence[dict[str, Any]], k: str) -> dict[str, float | None]:
    f1 = [result["per_class"][k]["f1"] for result in results]
    chance: dict[str, float | None] = (results[0]["chance"] or {}).get("per_class", {})
    experts = [value for value in f1[1:] if value is not None]
    return {
        "auto_labels": f1[0],
        "experts": float(np.mean(experts)) if experts else None,
        "chance": chance.get(k),
    }
