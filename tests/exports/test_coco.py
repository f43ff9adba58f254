"""COCO polygons make the very pixels of a nucleus."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.exports.coco import annotation, pixel_edges


def blob(seed: int, side: int = 40) -> NDArray[np.uint8]:
    """One nucleus of any shape, thin parts and diagonal bridges included; no hole."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), rng.uniform(0.5, 3))
    lines, _ = cv2.findContours(
        (noise > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    mask = np.zeros((side, side), np.uint8)
    return cv2.fillPoly(mask, [max(lines, key=len)], 1)


def even_odd(lines: list[NDArray[np.int32]], side: int) -> NDArray[np.uint8]:
    """A twin: pixels whose centre has an odd number of vertical edges to its left."""
    flips = np.zeros((side + 1, side + 1), np.int64)
    for line in lines:
        for (x0, y0), (x1, y1) in zip(line, np.roll(line, -1, 0), strict=True):
            assert x0 == x1 or y0 == y1
            flips[min(y0, y1) : max(y0, y1), x0] += x0 == x1
    return (np.cumsum(flips, axis=1) % 2)[:side, :side].astype(np.uint8)


@pytest.mark.parametrize("seed", range(30))
def test_edges_enclose_the_pixels_and_no_others(seed: int) -> None:
    mask = blob(seed)
    assert np.array_equal(even_odd(pixel_edges(mask), len(mask)), mask)


# pycocotools 2.0.11 implements numpy 1's __array__
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("seed", range(30))
def test_pycocotools_makes_the_same_pixels(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = blob(seed)
    shape = [[float(v) for v in line.ravel()] for line in pixel_edges(mask)]
    shape = [line for line in shape if len(line) >= 6]
    decoded = coco.decode(coco.merge(coco.frPyObjects(shape, *mask.shape)))
    assert np.array_equal(decoded, mask)


def test_what_leaves_the_image_is_cut() -> None:
    square = np.array([[-3, 2], [-3, 5], [1, 5], [1, 2]], np.int32)
    shape = annotation(square, (20, 10))
    assert shape is not None
    assert shape["bbox"] == [0, 2, 2, 4]
    assert shape["area"] == 8
    assert annotation(square - np.array([5, 0]), (20, 10)) is None
    assert annotation(square + np.array([0, 8]), (20, 10)) is None


def test_a_nucleus_cut_in_two_has_two_polygons() -> None:
    horns = np.array([[0, -4], [9, -4], [9, 3], [7, 3], [7, -2], [2, -2], [2, 3], [0, 3]], np.int32)
    shape = annotation(horns, (20, 10))
    assert shape is not None
    assert len(shape["segmentation"]) == 2
    assert shape["bbox"] == [0, 0, 10, 4]
    assert shape["area"] == 3 * 4 * 2
