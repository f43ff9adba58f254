import numpy as np
import pytest

from regdata.labelling.labels import label_cells
from regdata.labelling.overlap import share_inside


def shares(*values: float) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("share", "label"),
    [(0.0, 0), (0.1499, 0), (0.15, 0), (0.1501, 1), (1.0, 1)],
)
def test_the_rule_of_record_is_strict(share: float, label: int) -> None:
    assert label_cells({"CD3": shares(share)}, {"T": ("CD3",)}, 0.15).tolist() == [label]


def test_any_marker_makes_the_class() -> None:
    overlap = {"CD3": shares(0.5, 0.0, 0.1), "CD20": shares(0.0, 0.4, 0.1)}
    assert label_cells(overlap, {"lymphocyte": ("CD3", "CD20")}, 0.15).tolist() == [1, 1, 0]


def test_the_larger_overlap_decides_between_classes() -> None:
    overlap = {"CD3": shares(0.5, 0.3, 0.4), "CD20": shares(0.2, 0.6, 0.4)}
    classes = {"T": ("CD3",), "B": ("CD20",)}
    assert label_cells(overlap, classes, 0.15).tolist() == [1, 2, 1]


def test_share_counts_own_pixels_only() -> None:
    labels = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], np.int32)
    mask = np.array([[True, False, True, True], [False, False, True, True]])
    assert share_inside(labels, mask, 3).tolist() == [0.25, 1.0, 0.0]
