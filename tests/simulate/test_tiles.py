import numpy as np
import pytest

from regdata.simulate.tiles import blocks, for_each


@pytest.mark.parametrize(
    ("size", "side", "count"), [((10, 7), 4, 6), ((8, 8), 4, 4), ((3, 2), 4, 1)]
)
def test_every_pixel_is_filled_once(size, side, count):
    seen = np.zeros(size[::-1], int)

    def fill(box):
        seen[box.y : box.y + box.h, box.x : box.x + box.w] += 1

    boxes = list(blocks(size, side))
    for_each(fill, boxes)
    assert len(boxes) == count
    assert (seen == 1).all()


def test_an_error_in_a_tile_is_raised():
    def fail(box):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each(fill=fail, boxes=blocks((4, 4), 4))
