import numpy as np
import pytest
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.labelling.channels.flat_field import Shading, fit_shading


def shade(shape: tuple[int, int], field: float, loss: float) -> np.ndarray:
    y, x = ((np.arange(n) + 0.5) / field % 1 * 2 - 1 for n in shape)
    return 1 - loss / 2 * ((x * x)[None, :] + (y * y)[:, None])


def section(shape: tuple[int, int], field: float, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Patchy tissue, a tenth of it stained, seen through a camera; and its mask."""
    rng = np.random.default_rng(2)
    patches = ndimage.gaussian_filter(rng.normal(size=shape), 15)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    light = 100 * np.exp(0.3 * smooth / smooth.std())
    light[ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.18] *= 8
    tissue = patches > np.quantile(patches, 0.35)
    light[~tissue] = 10
    seen = light * shade(shape, field, loss)
    return rng.poisson(seen * 20) / 20, tissue


@pytest.mark.parametrize("field", [41.0, 82.3])
def test_the_profile_is_found(field: float) -> None:
    overview, tissue = section((600, 700), field, 0.4)
    profile = fit_shading(overview, tissue, field)
    n = len(profile)
    true = shade((n, n), n, 0.4)
    assert profile.mean() == pytest.approx(1, abs=1e-5)
    assert np.abs(profile - true / true.mean()).max() < 0.06
    assert np.corrcoef(profile.ravel(), true.ravel())[0, 1] > 0.97


def test_a_flat_camera_stays_flat() -> None:
    overview, tissue = section((600, 700), 50.0, 0.0)
    assert np.abs(fit_shading(overview, tissue, 50.0) - 1).max() < 0.06


def test_at_repeats_in_every_field_and_in_every_region() -> None:
    profile = shade((32, 32), 32, 0.4).astype(np.float32)
    shading = Shading(profile / profile.mean(), 101.5)
    whole = shading.at((0, 0), (400, 300), 1.0)
    exact = shade((300, 400), 101.5, 0.4) / profile.mean()
    assert np.abs(whole - exact).max() < 0.01
    part = shading.at((150, 40), (90, 70), 1.0)
    assert np.allclose(part, whole[40:110, 150:240], atol=1e-6)
    coarse = shading.at((0, 0), (100, 75), 4.0)
    assert np.allclose(coarse, whole.reshape(75, 4, 100, 4).mean((1, 3)), atol=0.01)


@pytest.mark.parametrize(("field", "message"), [(400.0, "4 camera fields"), (3.0, "got 3.0")])
def test_fields_that_cannot_be_told_are_refused(field: float, message: str) -> None:
    overview, tissue = section((300, 400), 40.0, 0.4)
    with pytest.raises(RegdataError, match=message):
        fit_shading(overview, tissue, field)
