import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.measuring.section import FLAT, MISSING, lost, out_of_focus, tile_medians


def field(side_um: float = 640.0, pitch: float = 16.0) -> NDArray[np.float64]:
    """Nuclei on a lattice, 16 in each tile of 64 µm."""
    along = np.arange(pitch / 2, side_um, pitch)
    return np.stack(np.meshgrid(along, along), -1).reshape(-1, 2)


def stained(xy: NDArray[np.float64], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 8, len(xy)).astype(np.float32)


@pytest.mark.parametrize("tile_um", [64.0, 100.0])
def test_medians_are_those_of_each_tile(tile_um: float) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 640, (700, 2))
    values = rng.normal(size=700).astype(np.float32)
    values[rng.random(700) < 0.2] = np.nan
    found = tile_medians(values, xy, tile_um)
    place = np.floor(xy / tile_um)
    seen = set()
    for i in range(700):
        here = values[(place == place[i]).all(1)]
        here = here[np.isfinite(here)]
        expected = np.median(here) if len(here) >= 5 else np.nan
        seen.add(len(here) >= 5)
        np.testing.assert_allclose(found[i], expected, rtol=1e-6)
    assert seen == {True, False}


def test_lost_nuclei_alone_and_as_a_region() -> None:
    xy = field()
    nuclear = stained(xy)
    gone = np.zeros(len(xy), bool)
    gone[::37] = True
    gone |= (xy < 250).all(1)  # larger than the tiles that the median is taken of
    nuclear[gone] = 3
    assert np.array_equal(lost(nuclear, xy), gone)


def test_a_weakly_stained_region_is_not_lost() -> None:
    xy = field()
    nuclear = stained(xy)
    weak = xy[:, 0] < 384  # whole tiles of the median
    nuclear[weak] *= 0.25
    assert weak.mean() > 0.5
    assert not lost(nuclear, xy).any()


def test_the_limit_is_a_share_of_what_is_usual() -> None:
    xy = field()
    nuclear = np.full(len(xy), 100, np.float32)
    nuclear[3], nuclear[9] = 100 * MISSING - 1, 100 * MISSING + 1
    assert np.flatnonzero(lost(nuclear, xy)).tolist() == [3]
    assert np.array_equal(lost(nuclear * 7, xy), lost(nuclear, xy))


def blurred_patch() -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    xy = field()
    nuclear, ring = stained(xy), stained(xy, 1) / 5
    patch = (xy >= 128).all(1) & (xy < 256).all(1)
    nuclear[patch], ring[patch] = 60, 50
    return xy, nuclear, ring


def test_a_patch_out_of_focus() -> None:
    xy, nuclear, ring = blurred_patch()
    patch = nuclear == 60
    assert np.log(60 / 50) < FLAT * np.log(5)
    found = out_of_focus(nuclear, ring, xy, np.full(len(xy), 0.2))
    assert np.array_equal(found, patch)


def test_where_nuclei_lie_beside_their_light_focus_cannot_be_told() -> None:
    xy, nuclear, ring = blurred_patch()
    for error in (2.0, np.nan):
        beside = np.where(nuclear == 60, error, 0.2)
        assert not out_of_focus(nuclear, ring, xy, beside).any()
    assert not out_of_focus(nuclear, ring, xy, np.full(len(xy), np.nan)).any()


def test_nuclei_without_a_ring_say_nothing() -> None:
    xy, nuclear, ring = blurred_patch()
    none = ring.copy()
    none[::3] = np.nan
    error = np.full(len(xy), 0.2)
    found = out_of_focus(nuclear, none, xy, error)
    assert np.array_equal(found, out_of_focus(nuclear, ring, xy, error))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_nuclei(count: int) -> None:
    xy, few = np.zeros((count, 2)), np.full(count, 100, np.float32)
    assert lost(few, xy).tolist() == [False] * count
    assert out_of_focus(few, few / 5, xy, np.zeros(count)).tolist() == [False] * count


def test_a_channel_without_light_condemns_nobody() -> None:
    xy = field()
    dark = np.zeros(len(xy), np.float32)
    assert not lost(dark, xy).any()
    assert not out_of_focus(dark, dark, xy, np.zeros(len(xy))).any()
