import cv2
import numpy as np
import pytest

from regdata.slides.pulling import Window, pixel_centres, pull, pull_exactly, pull_shifted
from regdata.slides.slide import Box


def test_a_picture_pulled_at_its_own_centres_is_itself():
    image = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    at = pixel_centres(Box(0, 0, 40, 30))
    assert np.array_equal(pull(image, at), image)
    assert np.array_equal(pull(image, at.astype(np.float32), kernel="cubic"), image)
    assert np.array_equal(pull_exactly(image, at, Window((0, 0), (40, 30), 0)), image)


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_a_part_shows_what_the_whole_does(kernel):
    image = np.random.default_rng(1).normal(size=(50, 60)).astype(np.float32)
    at = np.random.default_rng(2).uniform(20, 35, (8, 9, 2))
    part = np.ascontiguousarray(image[12:, 9:])
    assert np.allclose(pull(part, at, (9, 12), kernel), pull(image, at, kernel=kernel), atol=1e-5)


def test_beyond_the_edge_is_zero_or_the_edge():
    image = np.full((5, 5), 7, np.float32)
    at = np.array([[[-9.0, 2.5], [2.5, 2.5], [2.5, 14.0]]])
    assert pull(image, at).tolist() == [[0, 7, 0]]
    assert pull(image, at, beyond=cv2.BORDER_REPLICATE).tolist() == [[7, 7, 7]]


@pytest.mark.parametrize(("x", "value"), [(-0.01, 9), (0.0, 5), (3.99, 5), (4.0, 9), (np.nan, 9)])
def test_a_picture_ends_at_the_edges_of_its_pixels(x, value):
    plane = np.full((4, 4), 5, np.uint8)
    at = np.array([[[x, 2.0]], [[2.0, x]]])
    seen = pull_exactly(plane, at, Window((0, 0), (4, 4), fill=9))
    assert seen.tolist() == [[value], [value]]


def test_centres_of_every_third_pixel():
    centres = pixel_centres(Box(-2, 5, 7, 4), step=3)
    assert centres[0, :, 0].tolist() == [-1.5, 1.5, 4.5]
    assert centres[:, 0, 1].tolist() == [5.5, 8.5]


def test_a_shift_looks_that_far():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    both = np.stack([x, y], 2)
    shift = np.full((20, 30, 2), (2.5, -1.25), np.float32)
    seen = pull_shifted(both, shift)[3:-3, 3:-3]
    assert np.allclose(seen, (both + shift)[3:-3, 3:-3])
