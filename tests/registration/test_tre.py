from pathlib import Path

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.registration.tre import share_closer, target_registration_error
from regdata.transforms.landmarks import read_landmarks
from regdata.transforms.transform import Transform

SIZE = (3000, 4000)


def shift(x: float, y: float) -> Transform:
    return Transform.affine(np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]))


def landmarks(tmp_path: Path, name: str, rows: str) -> np.ndarray:
    path = tmp_path / name
    path.write_text(",X,Y\n" + rows)
    return read_landmarks(path)


def test_errors_of_landmark_files_are_in_micrometres_of_the_if_slide(tmp_path):
    he = landmarks(tmp_path, "he.csv", "1,100,200\n2,400,200\n3,100,600\n4,0,0\n")
    # 0.25 µm/px there and 0.5 here: half the pixels; off by 3-4-5 triangles of 0, 5, 10, 20 px
    if_ = landmarks(tmp_path, "if.csv", "1,50,100\n2,203,104\n3,56,308\n4,12,16\n")
    found = target_registration_error(he, if_, Transform.identity(), 0.25, 0.5, SIZE)
    assert found.count == 4
    assert found.median_um == pytest.approx(3.75)
    assert found.mean_um == pytest.approx(4.375)
    assert found.max_um == pytest.approx(10.0)
    assert found.p90_um == pytest.approx(np.percentile([0, 2.5, 5, 10], 90))


def test_relative_errors_are_shares_of_the_diagonal_of_the_he_slide():
    he = np.array([[100.0, 100], [200, 100], [100, 900]])
    found = target_registration_error(
        he, he + np.array([[0, 5], [0, 50], [0, 500]]), shift(0, 0), 2, 2, SIZE
    )
    assert found.median_rtre == pytest.approx(50 / 5000)
    assert found.mean_rtre == pytest.approx(185 / 5000)
    assert found.max_rtre == pytest.approx(500 / 5000)


def test_robustness_is_the_share_that_came_closer():
    he = np.array([[0.0, 0], [100, 0], [0, 100], [50, 50]])
    if_ = he + np.array([[10, 0], [10, 0], [10, 0], [-10, 0]])
    found = target_registration_error(he, if_, shift(8, 0), 1.0, 1.0, SIZE)
    assert found.robustness == 0.75
    assert found.start_median_um == 10.0
    assert found.median_um == 2.0


def test_landmarks_that_do_not_move_are_not_closer():
    he = np.array([[0.0, 0], [100, 0]])
    found = target_registration_error(he, he + 5, Transform.identity(), 1.0, 1.0, SIZE)
    assert found.robustness == 0.0


def test_two_registrations_are_compared_landmark_by_landmark():
    he = np.array([[0.0, 0], [100, 0], [0, 100], [50, 50]])
    if_ = he + np.array([[3, 0], [3, 0], [3, 0], [9, 0]])
    assert share_closer(shift(4, 0), shift(8, 0), he, if_) == 0.75
    assert share_closer(shift(8, 0), shift(4, 0), he, if_) == 0.25


def test_one_landmark_is_measured():
    found = target_registration_error(
        np.array([[5.0, 5]]), np.array([[5.0, 8]]), shift(0, 0), 1.0, 1.0, SIZE
    )
    assert (found.median_um, found.mean_um, found.p90_um, found.max_um) == (3.0, 3.0, 3.0, 3.0)


PAIR = np.array([[1.0, 2], [3, 4]])


@pytest.mark.parametrize(
    ("he", "if_", "mpps", "size", "message"),
    [
        (PAIR, PAIR[:1], (1, 1), SIZE, "got 2 on the H&E and 1 on the IF"),
        (PAIR[:0], PAIR[:0], (1, 1), SIZE, "expected 1 landmarks or more, got 0"),
        (PAIR[:, :1], PAIR[:, :1], (1, 1), SIZE, r"expected \(N, 2\) finite landmarks"),
        (PAIR * np.nan, PAIR, (1, 1), SIZE, r"expected \(N, 2\) finite landmarks"),
        (PAIR, PAIR, (0, 1), SIZE, "positive pixel size in µm, got 0; pass `he_mpp=`"),
        (PAIR, PAIR, (1, np.nan), SIZE, "positive pixel size in µm, got nan; pass `if_mpp=`"),
        (PAIR, PAIR, (1, 1), (0, 0), "expected a positive diagonal"),
    ],
    ids=["unequal", "none", "one column", "not a number", "he mpp", "if mpp", "no size"],
)
def test_landmarks_that_cannot_be_measured_are_refused(he, if_, mpps, size, message):
    with pytest.raises(RegdataError, match=message):
        target_registration_error(he, if_, Transform.identity(), *mpps, size)
