import numpy as np
import pytest

from regdata.simulate.maps import COARSE, lookup, signed_distance, upsample
from regdata.slides.slide import Box


def test_signed_distance_is_in_full_resolution_pixels():
    mask = np.zeros((60, 60), bool)
    mask[:, 30:] = True
    along = signed_distance(mask)[30]
    assert along[50] == pytest.approx(20.5 * COARSE, abs=0.6 * COARSE)
    assert along[10] == pytest.approx(-19.5 * COARSE, abs=0.6 * COARSE)
    assert np.all(np.diff(along) > 0)


def test_upsampling_keeps_positions():
    x = (np.arange(40, dtype=np.float32) + 0.5) * COARSE
    coarse = np.tile(x, (30, 1))
    fine = upsample(coarse, Box(17, 9, 50, 20))
    assert np.abs(fine - (np.arange(17, 67) + 0.5)).max() < COARSE / 32 + 1e-3
    assert lookup(coarse, np.array([[17.5, 3.0]]))[0] == pytest.approx(18)


@pytest.mark.parametrize("full", [False, True])
def test_a_mask_without_a_border_is_far_from_it(full):
    distance = signed_distance(np.full((20, 30), full))
    assert (distance > 10_000).all() if full else (distance < -10_000).all()
