import numpy as np
import pytest
from scipy import ndimage

from regdata.cells import positions
from regdata.cells.positions import centroids


@pytest.mark.parametrize("rows", [1, 5, 4096])
def test_centroids_are_mean_pixels_from_the_corner(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "_ROWS", rows)
    instances = np.random.default_rng(0).integers(0, 9, (17, 23)).astype(np.int32)
    index = np.arange(1, 9)
    rows_columns = np.array(ndimage.center_of_mass(instances > 0, instances, index))
    np.testing.assert_array_equal(centroids(instances), rows_columns[:, ::-1] + 0.5)


def test_numbers_may_be_missing_or_listed() -> None:
    instances = np.zeros((6, 8), np.int64)
    instances[0:2, 0:4] = 2
    instances[5, 7] = 900
    assert centroids(instances)[[0, 1, 899]].tolist() == [[0.5, 0.5], [2, 1], [7.5, 5.5]]
    assert centroids(instances, np.array([2, 900])).tolist() == [[2, 1], [7.5, 5.5]]
    assert centroids(instances * 0).shape == (0, 2)
    assert centroids(instances[:0]).shape == (0, 2)
