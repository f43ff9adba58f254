import numpy as np
import pytest
from scipy import ndimage

from regdata.slides.smoothing import blurred, blurred_inside, blurred_to_pitch


def noise(seed=0):
    return np.random.default_rng(seed).normal(size=(60, 70)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.8, 2.0, 5.0])
def test_a_blur_is_a_gaussian_mean(sigma):
    expected = ndimage.gaussian_filter(noise(), sigma, mode="mirror")
    assert np.abs(blurred(noise(), sigma) - expected).max() < 0.01


def test_a_blur_too_small_to_show_changes_nothing():
    plane = noise()
    assert blurred(plane, 0.29) is plane
    assert blurred(plane, 0.31) is not plane


def test_pixels_that_do_not_count_say_nothing():
    weight = (noise(1) > 0).astype(np.float32)
    plane = noise()
    other = np.where(weight > 0, plane, 1e3).astype(np.float32)
    assert np.array_equal(blurred_inside(plane, weight, 3), blurred_inside(other, weight, 3))
    even = np.where(weight > 0, 4, 0).astype(np.float32)
    assert np.allclose(blurred_inside(even, weight, 3), 4, atol=1e-4)


def test_with_all_pixels_it_is_the_plain_mean():
    assert np.allclose(
        blurred_inside(noise(), np.ones((60, 70), np.float32), 2), blurred(noise(), 2), atol=1e-6
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int32", "float64"])
def test_larger_pixels_keep_dtype_and_mean(dtype):
    plane = (100 + 20 * noise()).astype(dtype)
    assert blurred_to_pitch(plane, 1.0) is plane
    soft = blurred_to_pitch(plane, 1.9)
    assert soft.dtype == plane.dtype
    assert soft.mean() == pytest.approx(plane.mean(), abs=0.5)
    assert soft.std() < 0.6 * plane.std()
