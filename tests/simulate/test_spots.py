import numpy as np
import pytest

from regdata.simulate.spots import draw
from regdata.slides.slide import Box

ONE = np.array([[30.0, 20.0, 12.0, 5.0, np.pi / 2, 0.8]])


def test_an_ellipse_lies_where_it_was_put():
    plane = draw(ONE, Box(0, 0, 60, 50), 0.8)
    y, x = np.nonzero(plane > 0.4)
    assert plane.max() == pytest.approx(0.8, abs=0.01)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((30, 20), abs=0.3)
    assert (np.ptp(x), np.ptp(y)) == pytest.approx((10, 24), abs=2)


@pytest.mark.parametrize("box", [Box(25, 10, 20, 30), Box(0, 0, 28, 18)])
def test_a_tile_is_a_crop_of_the_whole(box):
    whole = draw(ONE, Box(0, 0, 60, 50), 2.0)
    crop = whole[box.y : box.y + box.h, box.x : box.x + box.w]
    assert np.abs(draw(ONE, box, 2.0) - crop).max() < 0.01


def test_nothing_to_draw():
    assert draw(np.zeros((0, 6)), Box(0, 0, 9, 7), 1.0).shape == (7, 9)
    assert draw(ONE, Box(500, 500, 9, 7), 1.0).max() == 0
