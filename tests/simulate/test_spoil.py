import numpy as np
import pytest
from scipy import ndimage

from regdata.simulate.settings import RestainSettings
from regdata.simulate.spoil import Fold, Spoils, draw_spoils, nuclear_centres
from regdata.slides.slide import Box


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_out_of_focus_is_met(share: float) -> None:
    rng = np.random.default_rng(3)
    spoils = draw_spoils((5000.0, 3300.0), RestainSettings(blurred=share), rng)
    pixels = spoils.blurred_pixels(Box(0, 0, 500, 330), 10.0)
    assert pixels.mean() == pytest.approx(share, abs=0.01)
    assert spoils.any() == (share > 0)


def test_a_fold_is_a_strip() -> None:
    fold = Fold(np.array([100.0, 100.0]), np.array([1.0, 0.0]), 80.0)
    spoils = Spoils((fold,), np.zeros((1, 1), bool))
    xy = np.array([[100, 100], [139, 119], [141, 100], [100, 121]], float)
    assert spoils.at(xy).tolist() == [True, True, False, False]
    (_, inside), *more = spoils.folded_pixels(Box(50, 50, 100, 100), 1.0)
    assert inside.sum() == 80 * 40
    assert not more
    assert not list(spoils.folded_pixels(Box(200, 0, 50, 50), 1.0))
    assert abs(fold.shift_um @ fold.along) < 1e-9
    assert np.linalg.norm(fold.shift_um) > 40  # the strip does not lie on itself


def test_folds_lie_in_the_section() -> None:
    spoils = draw_spoils((900.0, 700.0), RestainSettings(folds=3), np.random.default_rng(1))
    assert len(spoils.folds) == 3
    for fold in spoils.folds:
        assert (fold.centre > (200, 150)).all()
        assert (fold.centre < (700, 550)).all()


def test_centres_of_nuclei_are_those_of_scipy() -> None:
    instances = np.zeros((2500, 40), np.int32)
    instances[5:9, 3:20] = 2
    instances[1000:1100, 10:30] = 7  # over the end of a strip of rows
    instances[2490:, 0] = 3
    ids, centres = nuclear_centres(instances)
    assert ids.tolist() == [2, 3, 7]
    expected = np.array(ndimage.center_of_mass(instances > 0, instances, ids))[:, ::-1] + 0.5
    assert np.allclose(centres, expected)
    assert nuclear_centres(instances * 0)[1].shape == (0, 2)
