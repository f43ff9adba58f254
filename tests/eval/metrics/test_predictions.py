from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regdata.annotated.points import NamedPoints, to_set
from regdata.annotated.sets import AnnotatedSet
from regdata.errors import RegdataError
from regdata.eval.metrics.classes import map_classes
from regdata.eval.metrics.detection import Conventions
from regdata.eval.metrics.predictions import Prediction, evaluate

CLASSES = map_classes(["other", "lymphocyte"], ["lymphocyte", "other"])


def annotated(mpp=0.25, **fields):
    images = [
        NamedPoints(Path("a.png"), np.array([[10.0, 10], [50, 50]]), ["lymphocyte", "other"]),
        NamedPoints(Path("b.png"), np.array([[10.0, 10]]), ["lymphocyte"]),
    ]
    return to_set([replace(image, **fields) for image in images], mpp)


def perfect(image):
    own = image.labels == 0  # "lymphocyte" is the first class of the set, second of the network
    return Prediction(image.points_xy, np.column_stack([~own, own]).astype(np.float32))


def nothing(image):
    return Prediction(np.zeros((0, 2)), np.zeros((0, 2), np.float32))


def test_perfect_prediction():
    scores = evaluate(annotated(), perfect, CLASSES)
    assert scores.mean_f1 == 1.0
    assert [rates.annotated for rates in scores.per_class] == [1, 2]


def test_nothing_found():
    scores = evaluate(annotated(), nothing, CLASSES)
    assert (scores.mean_f1, scores.detection.recall) == (0.0, 0.0)
    assert scores.detection.precision is None


def test_images_are_matched_by_themselves():
    """All crops laid over each other would match; image by image nothing does."""

    def swapped(image):
        other = {"a": [[200.0, 200]], "b": [[50.0, 50]]}[image.name]
        return Prediction(np.array(other), np.array([[1, 0]], np.float32))

    assert evaluate(annotated(), swapped, CLASSES).detection.f1 == 0.0


@pytest.mark.parametrize(
    ("mpp", "radius_um", "found"),
    [(0.25, 3.75, True), (0.25, 3.74, False), (0.26, 3.75, False), (0.2, 3.0, True)],
)
def test_radius_is_in_um(mpp, radius_um, found):
    def shifted(image):
        right = perfect(image)
        return replace(right, xy=right.xy + np.array([9, 12]))  # 15 px

    scores = evaluate(annotated(mpp), shifted, CLASSES, Conventions(radius_um=radius_um))
    assert scores.detection.f1 == float(found)
    assert scores.conventions.radius_um == radius_um


def test_cells_outside_the_field_are_not_wrong():
    def beyond(image):
        return Prediction(
            np.concatenate([image.points_xy, [[80.0, 10.0], [60.0, 10.0]]]),
            np.concatenate([perfect(image).probabilities, np.full((2, 2), 0.5, np.float32)]),
        )

    assert evaluate(annotated(), beyond, CLASSES).detection.predicted == 7
    scores = evaluate(annotated(field=(0.0, 0.0, 60.0, 60.0)), beyond, CLASSES)
    assert scores.detection.predicted == 3  # the right edge itself lies outside


def test_set_without_nuclei():
    empty = AnnotatedSet((), ("a",), 0.25)
    with pytest.raises(RegdataError, match="0 image"):
        evaluate(empty, nothing, CLASSES)
