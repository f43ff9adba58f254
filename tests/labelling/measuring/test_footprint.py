import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour, cells_of, disc, ragged, random_contours
from scipy.spatial import cKDTree

from regdata.labelling.measuring.footprint import (
    Footprints,
    footprints,
    grouped,
    owners,
    polygons,
    rings,
)


def filled(contour: Contour, size: tuple[int, int], pad: int = 0) -> NDArray[np.bool_]:
    """The straightforward way: an image of the whole region for one nucleus."""
    image = np.zeros((size[1] + 2 * pad, size[0] + 2 * pad), np.uint8)
    cv2.fillPoly(image, [contour + pad], 1)
    return image[pad : size[1] + pad, pad : size[0] + pad] > 0


def own(nuclei: Footprints, i: int) -> list[int]:
    return nuclei.pixels[nuclei.offsets[i] : nuclei.offsets[i + 1]].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_polygons_are_filled_as_on_a_full_image(seed: int) -> None:
    size = (83, 61)
    contours = random_contours(np.random.default_rng(seed), 150, size, beyond=12)
    contours += [np.array(c, np.int32) for c in ([[5, 5]], [[7, 7], [12, 9]], [[-9, -9]])]
    found = polygons(*ragged(contours), size)
    for i, contour in enumerate(contours):
        assert own(found, i) == np.flatnonzero(filled(contour, size, pad=40)).tolist()
    assert (found.area == 0).any()  # some lie off the image altogether
    assert found.area[-3:].tolist() == [1, 6, 0]


def test_no_polygons() -> None:
    found = polygons(np.zeros((0, 2), np.int32), np.zeros(1, np.int64), (5, 5))
    assert len(found.pixels) == len(found.area) == 0
    assert found.share(np.ones((5, 5), bool)).shape == (0,)
    assert not owners(found, (5, 5)).any()
    assert rings(owners(found, (5, 5)), 3, 0).offsets.tolist() == [0]


@pytest.mark.parametrize("step", [1.0, 2.0, 1.3])
def test_a_region_anywhere_on_the_slide_at_any_step(step: float) -> None:
    size = (64, 48)
    contours = random_contours(np.random.default_rng(1), 30, size)
    shift = np.array([70_000, 30_000], np.int32)
    cells = cells_of([contour + shift for contour in contours], step)
    corner = (float(shift[0] * step), float(shift[1] * step))
    there = footprints(cells, corner, size, step)
    here = polygons(*ragged(contours), size)
    assert np.array_equal(there.pixels, here.pixels)
    assert np.array_equal(there.offsets, here.offsets)


def test_share_of_a_mask() -> None:
    size = (70, 50)
    rng = np.random.default_rng(0)
    contours = random_contours(rng, 60, size, beyond=15)
    mask = rng.random((50, 70)) < 0.3
    expected = [
        mask[inside].mean() if (inside := filled(c, size, pad=40)).any() else 0 for c in contours
    ]
    found = polygons(*ragged(contours), size).share(mask)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_nuclei_that_overlap_keep_all_of_their_pixels() -> None:
    size = (40, 40)
    both = polygons(*ragged([disc(15, 20, 8), disc(22, 20, 8)]), size)
    alone = polygons(*ragged([disc(22, 20, 8)]), size)
    assert set(own(both, 0)) & set(own(both, 1))
    assert own(both, 1) == own(alone, 0)
    shared = sorted(set(own(both, 0)) & set(own(both, 1)))
    assert set(owners(both, size).ravel()[shared].tolist()) == {2}
    first = owners(both, size, np.array([7, 3]))
    assert set(first.ravel()[shared].tolist()) == {1}


def distances(owner: NDArray[np.int32]) -> dict[int, NDArray[np.float64]]:
    """Per nucleus the distance of every pixel to it."""
    grid = np.stack(np.indices(owner.shape), -1).reshape(-1, 2)
    numbers = np.unique(owner[owner > 0]).tolist()
    return {n: cKDTree(np.argwhere(owner == n)).query(grid)[0] for n in numbers}


@pytest.mark.parametrize("seed", range(3))
def test_rings_are_exclusive_and_hold_what_is_near(seed: int) -> None:
    size, width = (90, 70), 6.0
    contours = random_contours(np.random.default_rng(seed), 25, size)
    owner = owners(polygons(*ragged(contours), size), size)
    count = int(owner.max())
    found = rings(owner, width, count)
    assert len(found.area) == count
    assert len(np.unique(found.pixels)) == len(found.pixels)
    assert (owner.ravel()[found.pixels] == 0).all()
    exact = distances(owner)
    nearest = np.min(list(exact.values()), axis=0)
    slack = 0.03 * width  # the distance is taken in steps of a 5x5 neighbourhood
    for i in range(count):
        if i + 1 in exact:
            mine = exact[i + 1][own(found, i)]
            assert (mine <= width + slack).all()
            assert (mine <= nearest[own(found, i)] + slack).all()
    covered = np.zeros(owner.size, bool)
    covered[found.pixels] = True
    assert covered[(owner.ravel() == 0) & (nearest < width - slack)].all()


def test_rings_of_the_first_nuclei_only() -> None:
    size = (60, 40)
    owner = owners(polygons(*ragged([disc(20, 20, 6), disc(34, 20, 6)]), size), size)
    both, first = rings(owner, 8, 2), rings(owner, 8, 1)
    assert own(first, 0) == own(both, 0)
    assert len(first.area) == 1
    alone = rings(np.where(owner == 1, 1, 0).astype(np.int32), 8, 1)
    assert set(own(first, 0)) < set(own(alone, 0))  # the neighbour takes its part


def test_a_nucleus_among_others_may_have_no_ring() -> None:
    owner = np.ones((20, 20), np.int32)
    owner[5:15, 5:15] = 2
    owner[8:12, 8:12] = 3
    found = rings(owner, 4, 3)
    assert found.area.tolist() == [0, 0, 0]
    assert found.share(np.ones((20, 20), bool)).tolist() == [0, 0, 0]


def test_pixels_by_owner() -> None:
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 6, 200).astype(np.int32)
    found = grouped(owner, 7)
    for i in range(7):
        assert own(found, i) == np.flatnonzero(owner == i + 1).tolist()
