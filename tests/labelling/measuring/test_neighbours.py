import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour, disc, ragged
from scipy import ndimage

from regdata.labelling.measuring.footprint import owners, polygons
from regdata.labelling.measuring.neighbours import lent_light, reach

SIZE = (90, 70)


def lent(contours: list[Contour], mean: list[float], sigma: float) -> NDArray[np.float32]:
    nuclei = polygons(*ragged(contours), SIZE)
    blur = np.full(len(contours), sigma)
    light = np.array(mean, np.float32)
    return lent_light(owners(nuclei, SIZE), nuclei, light, blur, len(contours))


BESIDE = [disc(30, 35, 8), disc(47, 35, 8)]


def test_a_dim_nucleus_beside_a_bright_one() -> None:
    found = lent(BESIDE, [100, 1000], 2.0)
    assert 0.05 < found[0] <= 1
    assert found[1] == 0  # nobody is brighter


def test_light_is_that_of_the_blurred_neighbour() -> None:
    nuclei = polygons(*ragged(BESIDE), SIZE)
    owner = owners(nuclei, SIZE)
    radius = np.sqrt(nuclei.area[1] / np.pi)
    given = np.where(owner == 2, 1000 / (1 - 0.8 * 2.0 / radius), 0)
    blurred = ndimage.gaussian_filter(given, 2.0)
    expected = blurred.ravel()[nuclei.pixels[: nuclei.offsets[1]]].mean() / 400
    assert lent(BESIDE, [400, 1000], 2.0)[0] == pytest.approx(expected, rel=0.03)


def test_more_light_comes_from_nearer_brighter_and_more_blurred() -> None:
    far = [disc(30, 35, 8), disc(50, 35, 8)]
    assert lent(far, [200, 1000], 2.0)[0] < lent(BESIDE, [200, 1000], 2.0)[0]
    assert lent(BESIDE, [200, 500], 2.0)[0] < lent(BESIDE, [200, 1000], 2.0)[0]
    assert lent(BESIDE, [200, 1000], 1.0)[0] < lent(BESIDE, [200, 1000], 3.0)[0]


def test_alone_nothing_is_lent() -> None:
    assert lent([disc(30, 35, 8)], [100], 2.0).tolist() == [0]
    assert lent([disc(12, 12, 8), disc(75, 55, 8)], [100, 1000], 1.0).tolist() == [0, 0]


def test_never_more_than_all_of_it_and_nothing_of_darkness() -> None:
    assert lent(BESIDE, [40, 1000], 6.0)[0] == 1
    assert lent(BESIDE, [0, 0], 2.0).tolist() == [0, 0]
    assert lent(BESIDE, [-5, -1], 2.0).tolist() == [0, 0]
    assert lent(BESIDE, [np.nan, 1000], 2.0).tolist() == [0, 0]


def test_an_unknown_error_takes_the_widest_blur() -> None:
    known, unknown = (lent(BESIDE, [400, 1000], sigma)[0] for sigma in (16.0, np.nan))
    assert known == unknown > 0


def test_reach_is_that_of_the_widest_known_blur() -> None:
    assert reach(np.array([1.0, 4.0, np.nan])) == 10
    assert reach(np.array([900.0])) == 40
    assert reach(np.array([np.nan])) == reach(np.zeros(0)) == 0
