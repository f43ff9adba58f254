"""Evaluations and labelled files in memory, as the tests of the pages take them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.eval.metrics.classes import map_classes
from regdata.eval.metrics.detection import Conventions
from regdata.eval.metrics.matched_image import MatchedImage, match_image
from regdata.eval.metrics.predictions import Prediction, evaluate
from regdata.eval.run import Evaluation

CLASSES = ("negative", "lymphocyte")
SIDE, MPP, RADIUS_UM = 256, 0.25, 3.75


def square(xy: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Contours of four corners around each point, and their offsets."""
    corners = np.array([[-8, -8], [8, -8], [8, 8], [-8, 8]])
    vertices = (xy[:, None] + corners).reshape(-1, 2).astype(np.float32)
    return vertices, np.arange(len(xy) + 1) * 4


def scattered(
    folder: Path,
    seed: int = 0,
    images: int = 3,
    nuclei: int = 30,
    right: float = 0.8,
    stem: str = "field",
) -> tuple[AnnotatedSet, dict[str, Prediction]]:
    """Images of noise with annotated points; most are found, two in each image in vain."""
    rng = np.random.default_rng(seed)
    made, predicted = [], {}
    for i in range(images):
        path = folder / f"{stem}_{i}.png"
        cv2.imwrite(str(path), rng.integers(120, 255, (SIDE, SIDE, 3)).astype(np.uint8))
        xy = rng.uniform(10, SIDE - 10, (nuclei, 2))
        labels = rng.integers(0, 2, nuclei)
        labels[0] = -1
        made.append(
            AnnotatedImage(
                path=path, points_xy=xy, labels=labels, slide=f"slide_{i // 2}", split="test"
            )
        )
        found = np.concatenate([xy[:-3] + rng.normal(0, 1, (nuclei - 3, 2)), [[3, 3], [250, 4]]])
        sure = np.clip(rng.normal(right, 0.25, len(found)), 0.02, 0.98)
        truth = np.concatenate([np.maximum(labels[:-3], 0), [1, 0]])
        other = np.where(truth == 1, sure, 1 - sure)
        predicted[path.stem] = Prediction(found, np.stack([1 - other, other], 1).astype(np.float32))
    return AnnotatedSet(tuple(made), CLASSES, MPP), predicted


def evaluation(folder: Path, names: tuple[str, str] = CLASSES, **how: float | str) -> Evaluation:
    """Such images scored, with the cells they came from."""
    annotated, predicted = scattered(folder, **how)  # type: ignore[arg-type]
    annotated = replace(annotated, classes=names)
    classes = map_classes(names, names)
    scores = evaluate(
        annotated, lambda image: predicted[image.name], classes, Conventions(draws=50)
    )
    images = tuple(
        match_image(image, p, classes, MPP, RADIUS_UM, square(p.xy))
        for image in annotated.images
        for p in [predicted[image.name]]
    )
    return Evaluation(
        scores=scores,
        images=images,
        classes=classes,
        annotated=names,
        classified=names,
        network="tiny",
        network_sha256="ab" * 32,
        training={"epochs": 3},
    )


def points_only(truth: NDArray[np.float64], found: NDArray[np.float64]) -> MatchedImage:
    """One class, no picture."""
    image = AnnotatedImage(
        path=Path("a.png"), points_xy=truth, labels=np.zeros(len(truth), np.int64), slide="a"
    )
    chance = np.ones((len(found), 1), np.float32)
    one = map_classes(("cell",), ("cell",))
    return match_image(image, Prediction(found, chance), one, MPP, RADIUS_UM)
