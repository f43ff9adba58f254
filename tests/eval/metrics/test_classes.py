import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval.metrics.classes import map_classes

NUCLS = ("tumor_any", "nonTIL_stromal", "sTIL", "other_nucleus")


@pytest.mark.parametrize(
    ("classifier", "annotated", "mapping", "names", "of_classifier", "of_set"),
    [
        (["a", "b"], ["B", "A"], {}, ("a", "b"), [0, 1], [1, 0]),
        (["plasma cell"], ["Plasma_Cells"], {}, ("plasma cell",), [0], [0]),
        # a background class takes the rest
        (["other", "stil"], NUCLS, {}, ("other", "stil"), [0, 1], [0, 0, 1, 0]),
        (["negative", "T"], NUCLS, {"T": "sTIL"}, ("negative", "T"), [0, 1], [0, 0, 1, 0]),
        # ... or the class that is asked to
        (["x", "T"], NUCLS, {"T": "sTIL", "x": "*"}, ("x", "T"), [0, 1], [0, 0, 1, 0]),
        (["x", "y"], ["a", "b", "c"], {"x": "a, b", "y": "c"}, ("x", "y"), [0, 1], [0, 0, 1]),
        # two classes of the classifier answer to one of the set
        (["l", "p", "o"], ["TIL", "o"], {"l": "TIL", "p": "TIL"}, ("TIL", "o"), [0, 0, 1], [0, 1]),
        # the mapping goes before the names
        (["a", "b"], ["a", "b"], {"a": "b", "b": "a"}, ("a", "b"), [0, 1], [1, 0]),
        # a background class of no use
        (["other", "a"], ["a"], {}, ("other", "a"), [0, 1], [1]),
    ],
)
def test_pairs(classifier, annotated, mapping, names, of_classifier, of_set):
    found = map_classes(classifier, annotated, mapping)
    assert found.names == names
    assert found.classifier.tolist() == of_classifier
    assert found.annotated.tolist() == of_set


@pytest.mark.parametrize(
    ("classifier", "annotated", "mapping", "message"),
    [
        (["lymphocyte"], ["sTIL"], {}, "`mapping=` CLASSIFIER=SET"),
        (["a", "b"], ["a"], {}, "b of the classifier"),
        (["a"], ["a", "tumor"], {}, "tumor of the set"),
        (["a"], ["a"], {"z": "a"}, "classifier has no class z"),
        (["a"], ["a"], {"a": "z"}, "set has no class z; it has a"),
        (["other", "negative"], ["a"], {}, "a of the set"),  # which of the two?
    ],
)
def test_errors_name_what_is_left(classifier, annotated, mapping, message):
    with pytest.raises(RegdataError, match=message) as error:
        map_classes(classifier, annotated, mapping)
    assert "\n" not in error.value.message


def test_merge_adds_the_probabilities():
    classes = map_classes(["l", "p", "o"], ["TIL", "o"], {"l": "TIL", "p": "TIL"})
    merged = classes.merge(np.array([[0.3, 0.3, 0.4]], np.float32))
    np.testing.assert_allclose(merged, [[0.6, 0.4]], rtol=1e-6)
    assert classes.merge(np.zeros((0, 3), np.float32)).shape == (0, 2)
