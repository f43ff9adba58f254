"""One-to-one matching of boxes by their overlap, and the classes of matched boxes."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from regdata.arrays import Floats
from regdata.errors import RegdataError
from regdata.eval.conventions.presets import BOXES, BoxPreset, find_preset, with_conventions
from regdata.eval.metrics import best_edges, rates_of, ratio, score_classes


def score_boxes(
    b1: ArrayLike,
    b2: ArrayLike,
    preset: str = "nucls",
    classes: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    **conventions: Any,
) -> dict[str, Any]:
    """Matched and unmatched boxes of two sets, with precision, recall and F1.

    Parameters
    ----------
    b1, b2
        (N, 4) and (M, 4) float, xmin, ymin, xmax, ymax in pixels.
    preset
        nucls: the right and bottom pixel belong to a box; regdata: they do not.
    classes, probabilities
        (N,) int, class of each first box, from 0 on, and (M, K) float, of each second one.
    conventions
        Fields of `BoxPreset` that should differ.

    Returns
    -------
    dict
        `matched`: pairs of indices in order of the first; `unmatched_1`, `unmatched_2`;
        `precision`, `recall` and `f1` of the second set (None without a denominator);
        `classification` of the matched by `score_classes` if classes are given; `conventions`.

    Examples
    --------
    >>> score_boxes([[0, 0, 9, 9]], [[0, 0, 9, 4], [40, 0, 50, 9]])["matched"]
    [[0, 0]]
    """
    rules, _ = with_conventions(find_preset(BOXES, preset, "boxes"), BoxPreset(), conventions)
    first, second = _boxes(b1), _boxes(b2)
    pairs = _match_boxes(first, second, rules)
    n, m, hits = len(first), len(second), len(pairs)
    result = {
        "matched": pairs.tolist(),
        "unmatched_1": np.setdiff1d(np.arange(n), pairs[:, 0]).tolist(),
        "unmatched_2": np.setdiff1d(np.arange(m), pairs[:, 1]).tolist(),
        **rates_of(hits, m, n),
        "conventions": {"preset": preset, **asdict(rules)},
    }
    if classes is not None and probabilities is not None:
        truth, given = np.asarray(classes, np.int64), np.asarray(probabilities, np.float64)
        if len(truth) != n or len(given) != m:
            raise RegdataError(
                f"expected a class of each first box ({n}) and probabilities of each second one "
                f"({m}), got {len(truth)} and {len(given)}"
            )
        result["classification"] = score_classes(truth[pairs[:, 0]], given[pairs[:, 1]])
    return result


def _match_boxes(first: Floats, second: Floats, rules: BoxPreset) -> NDArray[np.int64]:
    """(K, 2) pairs: as many as reach the IoU, then the highest total of it."""
    if len(first) == 0 or len(second) == 0:
        return np.zeros((0, 2), np.int64)
    rows, cols = _near(first, second, rules)
    iou = box_iou(first[rows], second[cols], rules.pixel)
    kept = iou >= rules.min_iou
    rows, cols, iou = rows[kept], cols[kept], iou[kept]
    edges = best_edges(rows, cols, 1 - iou)
    pairs = np.column_stack([rows[edges], cols[edges]])
    return pairs[np.argsort(pairs[:, 0])]


def box_iou(first: Floats, second: Floats, pixel: float = 0.0) -> Floats:
    """(K,) float64, intersection over union of boxes, pair by pair; 0 of two empty boxes.

    Parameters
    ----------
    first, second
        (K, 4) float64, xmin, ymin, xmax, ymax in pixels.
    pixel
        Added to the sides of a box, see `BoxPreset`.
    """
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    shared = np.clip(high - low + pixel, 0, None).prod(axis=1)
    areas = sum((b[:, 2:] - b[:, :2] + pixel).prod(axis=1) for b in (first, second))
    union = np.asarray(areas - shared, np.float64)
    return np.nan_to_num(ratio(shared, union))


def _near(
    first: Floats, second: Floats, rules: BoxPreset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose centres are near enough to overlap at all."""
    reach = max(float((b[:, 2:] - b[:, :2]).max()) for b in (first, second)) + rules.pixel
    trees = [cKDTree((b[:, :2] + b[:, 2:]) / 2) for b in (first, second)]
    near = trees[0].sparse_distance_matrix(trees[1], reach, p=np.inf, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"]))]
    return near["i"].astype(np.int64), near["j"].astype(np.int64)


def _boxes(values: ArrayLike) -> Floats:
    boxes = np.asarray(values, np.float64)
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not (boxes[:, 2:] >= boxes[:, :2]).all():
        raise RegdataError(f"expected boxes xmin, ymin, xmax, ymax, got shape {boxes.shape}")
    return boxes
