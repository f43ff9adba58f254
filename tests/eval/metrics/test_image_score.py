import numpy as np
import pytest

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.cells.positions import centroids
from regdata.eval.metrics.classes import ClassMap
from regdata.eval.metrics.image_score import DetectedNuclei, score_image

CLASSES = ClassMap(("a", "b"), np.array([0, 1]), np.array([0, 1]))


def squares(*corners: tuple[int, int]) -> np.ndarray:
    """Nuclei of 4 x 4 px at these (x, y)."""
    instances = np.zeros((20, 40), np.int32)
    for i, (x, y) in enumerate(corners, 1):
        instances[y : y + 4, x : x + 4] = i
    return instances


def annotated(instances: np.ndarray, kinds: list[int] | None = None) -> AnnotatedNuclei:
    rgb = np.zeros((*instances.shape, 3), np.uint8)
    types = None if kinds is None else np.array([0, *kinds], np.uint8)[instances]
    return AnnotatedNuclei("x", rgb, instances, types)


def found(instances: np.ndarray, kinds: list[int]) -> DetectedNuclei:
    return DetectedNuclei(instances, centroids(instances), np.array(kinds, np.int64))


def test_one_image_by_hand() -> None:
    """Of three nuclei one is found exactly, one 4 px aside, one not; one is spurious."""
    truth = squares((0, 0), (10, 0), (20, 0))
    guess = squares((0, 0), (10, 4), (30, 10))
    score = score_image(annotated(truth, [1, 2, 2]), found(guess, [0, 0, 1]), 4.0, CLASSES)
    assert score.metrics() == pytest.approx(
        {
            "dice": 2 * 16 / 96,
            "bpq": 1 / 3,
            "dq": 1 / 3,
            "sq": 1.0,
            "aji": 16 / 80,
            "aji_plus": 16 / 80,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
        }
    )
    assert [q.pq for q in score.classes] == [pytest.approx(2 / 3), 0.0]
    assert score.confusion is not None
    assert score.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    strict = score_image(annotated(truth), found(guess, [0, 0, 1]), 3.9, CLASSES)
    assert (strict.paired, strict.confusion, strict.classes) == (1, None, ())


def test_unnamed_nuclei_and_merged_classes() -> None:
    merged = ClassMap(("ab", "c"), np.array([0, 0, 1]), np.array([0, 1, 0]))
    truth = squares((0, 0), (10, 0), (20, 0))
    score = score_image(annotated(truth, [0, 2, 3]), found(truth, [0, 1, 2]), 4.0, merged)
    assert score.confusion is not None
    assert score.confusion.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    counts = [(q.true_positive, q.false_positive, q.false_negative) for q in score.classes]
    # the set's class 3 is scored as ab, class 2 as c: both are wrong, the unnamed does not count
    assert counts == [(0, 1, 1), (0, 1, 1)]


def test_a_found_nucleus_that_lost_its_pixels_moves_no_class() -> None:
    truth = squares((0, 0), (10, 0))
    first, second = centroids(truth)
    xy = np.array([first, (30.0, 15.0), second])
    guess = DetectedNuclei(np.where(truth == 2, 3, truth), xy, np.array([0, 0, 1]))
    score = score_image(annotated(truth, [1, 2]), guess, 4.0, CLASSES)
    assert [q.pq for q in score.classes] == [1.0, 1.0]
    assert score.predicted == 3


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ((), (), dict.fromkeys(("dice", "bpq", "aji", "precision", "recall", "f1"))),
        (((0, 0),), (), {"dice": 0, "bpq": 0, "aji": 0, "precision": None, "recall": 0, "f1": 0}),
        ((), ((0, 0),), {"dice": 0, "bpq": 0, "aji": 0, "precision": 0, "recall": None, "f1": 0}),
    ],
)
def test_empty_images(
    truth: tuple[tuple[int, int], ...],
    guess: tuple[tuple[int, int], ...],
    expected: dict[str, float | None],
) -> None:
    image = annotated(squares(*truth), [1] * len(truth))
    score = score_image(image, found(squares(*guess), [1] * len(guess)), 4.0, CLASSES)
    assert {name: score.metrics()[name] for name in expected} == expected
