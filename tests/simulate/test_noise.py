import numpy as np
import pytest

from regdata.simulate.noise import Noise, grain, ramp
from regdata.slides.slide import Box


@pytest.fixture(scope="module")
def noise():
    return Noise.make(np.random.default_rng(0))


@pytest.mark.parametrize("wavelength", [5.0, 30.0, 400.0])
def test_a_tile_is_a_crop_of_the_whole(noise, wavelength):
    whole = noise.plane(Box(0, 0, 600, 300), wavelength, layer=3)
    tile = noise.plane(Box(250, 130, 90, 70), wavelength, layer=3)
    assert np.abs(tile - whole[130:200, 250:340]).max() < 0.1
    assert np.abs(tile - whole[131:201, 250:340]).max() > 1e-3


def test_it_has_mean_0_and_deviation_1(noise):
    plane = noise.plane(Box(0, 0, 1500, 1500), 20, layer=1)
    assert abs(plane.mean()) < 0.05
    assert 0.85 < plane.std() < 1.05


def test_wavelength_is_the_distance_from_crest_to_crest(noise):
    def turns(wavelength):  # extrema along the rows
        slope = np.sign(np.diff(noise.plane(Box(0, 0, 2000, 200), wavelength, 2), axis=1))
        return (slope[:, 1:] * slope[:, :-1] < 0).mean()

    for wavelength in (20, 40):
        assert 1.3 < turns(wavelength) * wavelength < 3  # two extrema a wave
    assert turns(20) == pytest.approx(2 * turns(40), rel=0.2)


def test_layers_are_independent(noise):
    box = Box(0, 0, 400, 400)
    planes = [noise.plane(box, 12, layer).ravel() for layer in (0, 1, 4, 8)]
    assert np.abs(np.corrcoef(planes) - np.eye(4)).max() < 0.1


def test_sampling_at_positions_is_sampling_on_the_grid(noise):
    y, x = np.mgrid[:60, :80].astype(np.float32) + 0.5
    there = noise.at((x + 40) / 25, (y + 10) / 25, layer=5)
    assert np.abs(there - noise.plane(Box(40, 10, 80, 60), 25, 5)).max() < 0.1


def test_a_grain_repeats_without_a_seam():
    texture = grain(np.random.default_rng(0), 4.0, side=128)
    seam = np.abs(texture[0] - texture[-1]).max()
    assert seam < 2 * np.abs(np.diff(texture, axis=0)).max()


def test_ramp():
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    assert ramp(values, 0, 1).tolist() == [0, 0, 0.5, 1, 1]
    assert ramp(values, 1, 0).tolist() == [1, 1, 0.5, 0, 0]
