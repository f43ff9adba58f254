import numpy as np
import pytest
from scipy import ndimage

from regdata.labelling.measuring.morphology import shape_mask


def blobs(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(90, 110)), 2)
    return noise > 0.03


@pytest.mark.parametrize(("erode_px", "min_px"), [(0, 0), (1, 0), (3, 0), (0, 40), (1, 25)])
def test_parity_with_scipy(erode_px: int, min_px: int) -> None:
    mask = blobs(1)
    before = mask.copy()
    expected = mask
    square = np.ones((3, 3), bool)
    for _ in range(erode_px):
        expected = ndimage.binary_erosion(expected, square, border_value=1)
    pieces, count = ndimage.label(expected, square)
    size = ndimage.sum_labels(expected, pieces, np.arange(count + 1))
    expected = (pieces > 0) & (size[pieces] >= min_px)
    shaped = shape_mask(mask, erode_px, min_px)
    assert shaped.dtype == bool
    assert np.array_equal(shaped, expected)
    assert np.array_equal(mask, before)


def test_the_border_of_the_picture_is_no_border_of_the_mask() -> None:
    assert shape_mask(np.ones((6, 7), bool), 2, 10).all()
    assert not shape_mask(np.zeros((6, 7), bool), 2, 10).any()
