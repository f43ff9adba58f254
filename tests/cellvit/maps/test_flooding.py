from importlib.metadata import version

import cv2
import hovernet
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from regdata.cellvit.maps.components import find_parts
from regdata.cellvit.maps.flooding import flood_parts

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


def flooded(depth: Labels, markers: Labels, mask: Mask) -> Labels:
    parts = find_parts(mask.astype(np.uint8))
    starts = np.concatenate([[0], np.cumsum(np.bincount(parts.label, minlength=1)[1:])])
    runs = parts.runs[np.argsort(parts.label, kind="stable")]
    return flood_parts(np.pad(depth, 1, mode="reflect"), markers, runs, starts)


def energy_of(depth: Labels) -> NDArray[np.float64]:
    return -cv2.GaussianBlur(depth.astype(np.float64), (3, 3), 0)


def drawn(seed: int, depths: int) -> tuple[Labels, Labels, Mask]:
    """A mask with many markers, of as many different depths."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(3, 24)), int(rng.integers(3, 24)))
    mask = ndimage.gaussian_filter(rng.normal(size=shape), 1.5) > -0.1
    seeds = ndimage.gaussian_filter(rng.normal(size=shape), 0.8) > 0.35
    depth = rng.integers(0, depths, shape) * (2**24 // depths)
    return depth.astype(np.int32), ndimage.label(seeds)[0].astype(np.int32), mask


@pytest.mark.parametrize("depths", [1, 3, 30, 2**24])
def test_as_a_queue_of_all_pixels(depths: int) -> None:
    contested = 0
    for seed in range(60):
        depth, markers, mask = drawn(seed, depths)
        labels = flooded(depth, markers, mask)
        assert np.array_equal(labels, hovernet.flooded(energy_of(depth), markers, mask))
        contested += len(np.unique(labels)) > 2
    assert contested > 30


@pytest.mark.skipif(
    tuple(map(int, version("scikit-image").split(".")[:2])) > (0, 26),
    reason="later releases flood from all pixels of markers at once",
)
def test_as_scikit_image() -> None:
    for seed in range(300):
        depth, markers, mask = drawn(seed, 2**24)
        expected = watershed(energy_of(depth), markers, mask=mask)
        assert np.array_equal(flooded(depth, markers, mask), expected)


@pytest.mark.parametrize("turns", [0, 1])
def test_of_equals_the_upper_or_left_marker_takes_the_pixel_between(turns: int) -> None:
    markers = np.rot90(np.array([[0, 0, 0, 0, 0], [0, 1, 0, 2, 0], [0, 0, 0, 0, 0]]), -turns)
    mask = np.rot90(np.array([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]), -turns) > 0
    labels = flooded(np.full(mask.shape, 7, np.int32), markers.astype(np.int32).copy(), mask)
    assert labels[mask].tolist() == [1, 1, 1, 2, 2]


def test_a_part_without_a_marker_stays_background() -> None:
    mask = np.array([[1, 1, 0, 1, 1]] * 3, bool)
    markers = np.zeros(mask.shape, np.int32)
    markers[1, 0] = 5
    markers[1, 2] = 6  # outside the mask
    labels = flooded(np.ones(mask.shape, np.int32), markers, mask)
    assert labels.tolist() == [[5, 5, 0, 0, 0]] * 3


def test_nothing_to_flood() -> None:
    empty = np.zeros((4, 5), np.int32)
    assert flooded(empty, empty, empty > 0).tolist() == empty.tolist()
