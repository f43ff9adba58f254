"""Scores of a segmentation network on annotated images: Dice, bPQ, detection F1.

    python benchmarks/segmentation.py [consep/test] [--model FILE]

Per-image means with bootstrap intervals over images. bPQ pairs nuclei at IoU > 0.5; the detection
F1 pairs centroids one-to-one within 12 px (3 µm). `regdata evaluate-segmentation` gives more.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from data import data_folder
from tiny import parsed

from regdata.annotated.outlined import AnnotatedNuclei, find_annotated
from regdata.cellvit.networks.weights import Model, load_model
from regdata.eval.metrics.image_score import score_image
from regdata.eval.metrics.intervals import estimates, image_weights, weighted_means
from regdata.eval.segmentation import find_nuclei

MPP = 0.25
RADIUS = 12.0
NAMES = {"dice": "Dice", "bpq": "bPQ", "f1": "detection F1 (12 px)"}


def score(model: Model, image: AnnotatedNuclei) -> list[float]:
    """Dice, bPQ, detection F1 and CPU seconds of one image."""
    start = time.process_time()
    found = find_nuclei(model, image.rgb, MPP)
    spent = time.process_time() - start
    metrics = score_image(image, found, RADIUS).metrics()
    values = [metrics[name] for name in NAMES]
    return [*(np.nan if value is None else value for value in values), spent]


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="consep/test")
    parser.add_argument("--model", type=Path)
    arguments = parsed(parser)
    model = load_model(arguments.model)
    images = find_annotated(data_folder() / arguments.folder)
    scores = np.array([score(model, image.read()) for image in images])
    columns = estimates(weighted_means(scores, image_weights(len(scores), 1000, 0)))
    print(f"{arguments.folder}: {len(images)} images, model {model.sha256[:12]}")
    for name, column in zip((*NAMES.values(), "CPU s per image"), columns, strict=True):
        print(f"{name:22s} {_fixed(column.value)}  [{_fixed(column.low)}, {_fixed(column.high)}]")


if __name__ == "__main__":
    main()
