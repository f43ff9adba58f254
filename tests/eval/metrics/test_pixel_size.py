"""An image with a pixel size of its own is looked at and matched in it, not in its set's."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.eval import run
from regdata.eval.metrics.classes import map_classes
from regdata.eval.metrics.predictions import Prediction, evaluate
from regdata.studies import validation

NAMES = ("cell", "other")
CLASSES = map_classes(NAMES, NAMES)
XY = np.array([[50.0, 50.0]])
AWAY = XY + np.array([10.0, 0.0])  # 2.5 µm at 0.25 µm/px, 5 µm at 0.5 µm/px


def mixed() -> AnnotatedSet:
    """An image of the set's pixel size, and one of its own."""
    images = [
        AnnotatedImage(
            path=Path(f"{name}.png"),
            points_xy=XY,
            labels=np.zeros(1, np.int64),
            slide=name,
            mpp=mpp,
        )
        for name, mpp in (("fine", None), ("coarse", 0.5))
    ]
    return AnnotatedSet(tuple(images), NAMES, 0.25)


def test_the_radius_is_in_pixels_of_each_image() -> None:
    chance = np.array([[1, 0]], np.float32)
    scores = evaluate(mixed(), lambda _: Prediction(AWAY, chance), CLASSES)
    assert scores.detection.true_positive == 1


def test_cells_are_found_and_kept_at_the_pixel_size_of_each_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def find(_: object, mpp: float, __: object) -> Any:
        asked.append(mpp)
        vertices, offsets = np.zeros((0, 2), np.float32), np.zeros(2, np.int64)
        return SimpleNamespace(xy=AWAY, tokens=None, vertices=vertices, offsets=offsets)

    model = SimpleNamespace(sha256="0", config=SimpleNamespace(name="net", token_width=1))
    trained = SimpleNamespace(
        info=SimpleNamespace(classes=NAMES, training={}),
        require_model=lambda *_: None,
        predict=lambda _: np.array([[1, 0]], np.float32),
    )
    monkeypatch.setattr(run, "find_cells", find)
    monkeypatch.setattr(run, "load_model", lambda *_: model)
    monkeypatch.setattr(run, "load_classifier", lambda _: trained)
    found = run.evaluate_cells(Path("head.pt"), mixed())
    assert asked == [0.25, 0.5]
    assert [image.mpp for image in found.images] == [0.25, 0.5]
    assert [len(image.pairs) for image in found.images] == [1, 0]


def test_a_validation_looks_at_each_image_in_its_pixel_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Cells(SimpleNamespace):
        def __len__(self) -> int:
            return 1

    def find(_: object, mpp: float, __: object) -> Any:
        asked.append(mpp)
        return Cells(xy=AWAY, tokens=np.zeros((1, 1), np.float16))

    monkeypatch.setattr(validation, "find_cells", find)
    part, model = mixed(), SimpleNamespace()
    seen = [validation._look(image, part, model, CLASSES, 3.75) for image in part.images]
    assert asked == [0.25, 0.5]
    assert [one.radius for one in seen] == [15.0, 7.5]
    assert [one.expert.tolist() for one in seen] == [[0], [-1]]
