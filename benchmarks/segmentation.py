"""Scores of a segmentation network on annotated images: Dice, bPQ, detection F1.

    python benchmarks/segmentation.py [consep/test] [--model FILE]

Per-image means with bootstrap intervals over images. bPQ pairs nuclei at IoU > 0.5; the detection
F1 pairs centroids one-to-one within 12 px (3 µm).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from data import Annotated, data_folder, load_annotated
from numpy.typing import NDArray

from regdata.cellvit.inference import detect
from regdata.cellvit.weights import Model, load_model
from regdata.eval.matching import match_points


def panoptic_quality(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """Binary PQ of two instance maps (Kirillov et al., 2019)."""
    rows, columns = int(truth.max()) + 1, int(found.max()) + 1
    joint = np.bincount(truth.ravel() * np.int64(columns) + found.ravel(), minlength=rows * columns)
    joint = joint.reshape(rows, columns)
    sizes, others = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    iou = (joint / np.maximum(sizes + others - joint, 1))[1:, 1:]
    matched = iou[iou > 0.5]
    nuclei = (sizes[1:] > 0).sum() + (others[:, 1:] > 0).sum()
    return float(2 * matched.sum() / max(1, nuclei))


def score(model: Model, image: Annotated) -> tuple[float, float, float, float]:
    """Dice, bPQ, detection F1 and CPU seconds of one image."""
    start = time.process_time()
    instances, cells = detect(model, image.rgb)
    spent = time.process_time() - start
    a, b = image.instances > 0, instances > 0
    dice = 2 * (a & b).sum() / max(1, a.sum() + b.sum())
    pairs = len(match_points(image.xy, cells.xy, 12.0))
    f1 = 2 * pairs / max(1, len(image.xy) + len(cells))
    return float(dice), panoptic_quality(image.instances, instances), f1, spent


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="consep/test")
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    images = load_annotated(data_folder() / arguments.folder)
    scores = np.array([score(model, image) for image in images])
    rng = np.random.default_rng(0)
    drawn = scores[rng.integers(0, len(scores), (1000, len(scores)))].mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    print(f"{arguments.folder}: {len(images)} images, model {model.sha256[:12]}")
    for i, name in enumerate(("Dice", "bPQ", "detection F1 (12 px)", "CPU s per image")):
        print(f"{name:22s} {scores[:, i].mean():.3f}  [{low[i]:.3f}, {high[i]:.3f}]")


if __name__ == "__main__":
    main()
