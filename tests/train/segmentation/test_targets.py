import numpy as np

from regdata.train.segmentation.targets import hv_map


def test_by_hand() -> None:
    instances = np.zeros((5, 7), np.int32)
    instances[1:4, 1:6] = 3  # 3 rows, 5 columns, centre of mass at column 3, row 2
    horizontal, vertical = hv_map(instances)
    assert horizontal[1].tolist() == [0, -1, -0.5, 0, 0.5, 1, 0]
    assert vertical[:, 1].tolist() == [0, -1, 0, 1, 0]
    assert hv_map(instances).dtype == np.float32


def test_half_axes_are_scaled_each() -> None:
    instances = np.zeros((3, 9), np.int32)
    instances[0:3, 0:2] = 1
    instances[1, 2:8] = 1  # centre of mass at column 2.5, rounded up to 3
    horizontal = hv_map(instances)[0]
    assert horizontal[1, 0] == -1
    assert horizontal[1, 7] == 1
    assert horizontal[1, 3] == 0


def test_touching_nuclei_jump() -> None:
    instances = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 4, 0).astype(np.int32)
    horizontal = hv_map(instances)[0]
    assert horizontal[0, 3] == 1
    assert horizontal[0, 4] == -1


def test_nothing() -> None:
    assert not hv_map(np.zeros((4, 4), np.int32)).any()
