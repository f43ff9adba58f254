import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import ragged, random_contours

from regdata.labelling.measuring.footprint import Footprints, polygons
from regdata.labelling.measuring.intensity import LEVELS, at_share, decides, overlap, spread


def values_of(seed: int) -> tuple[NDArray[np.float32], Footprints]:
    """A plane with ties, as integers have them, and nuclei of 1 to some 200 pixels."""
    rng = np.random.default_rng(seed)
    size = (120, 90)
    plane = rng.integers(0, 40, (90, 120)).astype(np.float32)
    contours = random_contours(rng, 60, size, radius=7, beyond=10)
    contours += [np.array(c, np.int32) for c in ([[5, 5]], [[9, 9], [10, 9]], [[-50, -50]])]
    return plane, polygons(*ragged(contours), size)


def pixels_of(plane: NDArray[np.float32], nuclei: Footprints, i: int) -> NDArray[np.float32]:
    return plane.ravel()[nuclei.pixels[nuclei.offsets[i] : nuclei.offsets[i + 1]]]


@pytest.mark.parametrize("seed", range(3))
def test_the_share_is_above_a_twentieth_exactly_when_it_is(seed: int) -> None:
    plane, nuclei = values_of(seed)
    curve = spread(plane, nuclei).curve
    for threshold in (-1.0, 0.0, 3.0, 19.5, 38.0, 39.0, 50.0):
        found = overlap(curve, threshold)
        for i in range(len(nuclei.area)):
            own = pixels_of(plane, nuclei, i)
            above = int((own > threshold).sum())
            for k in range(LEVELS + 1):
                expected = above * LEVELS > k * len(own)
                assert bool(found[i] > np.float32(k / LEVELS)) == expected, (above, len(own), k)
            if len(own):
                # and never further off than the steps of the curve
                assert abs(found[i] - above / len(own)) <= 1 / LEVELS + 1e-6


def test_curve_mean_and_values_are_those_of_the_pixels() -> None:
    plane, nuclei = values_of(0)
    found = spread(plane, nuclei)
    curve, mean = found.curve, found.mean
    for i in range(len(nuclei.area)):
        own = np.sort(pixels_of(plane, nuclei, i))[::-1]
        kept = found.values[nuclei.offsets[i] : nuclei.offsets[i + 1]]
        assert kept.tolist() == own[::-1].tolist()
        if len(own) == 0:
            assert np.isnan(curve[i]).all()
            assert np.isnan(mean[i])
            continue
        places = [k * len(own) // LEVELS for k in range(LEVELS)]
        assert curve[i].tolist() == [*own[places].tolist(), own[-1]]
        assert mean[i] == pytest.approx(own.mean(), rel=1e-6)


def test_a_nucleus_without_pixels_overlaps_nothing() -> None:
    nowhere = np.full((1, LEVELS + 1), np.nan, np.float32)
    assert overlap(nowhere, 0.0).tolist() == [0]
    assert np.isnan(at_share(nowhere, 0.15)).all()


def test_each_nucleus_has_its_own_threshold() -> None:
    plane, nuclei = values_of(1)
    curve = spread(plane, nuclei).curve
    cuts = np.linspace(0, 39, len(curve))
    one_by_one = [overlap(curve[i : i + 1], cut)[0] for i, cut in enumerate(cuts)]
    assert overlap(curve, cuts).tolist() == one_by_one


def test_overlap_falls_as_the_threshold_rises() -> None:
    plane, nuclei = values_of(2)
    curve = spread(plane, nuclei).curve
    found = np.array([overlap(curve, cut) for cut in np.linspace(-1, 41, 85)])
    assert (np.diff(found, axis=0) <= 0).all()
    filled = nuclei.area > 0
    assert (found[0, filled] == 1).all()
    assert (found[-1] == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15, 0.17, 0.5, 0.975, 1.0])
def test_the_intensity_of_a_share_is_where_the_overlap_has_it(share: float) -> None:
    rng = np.random.default_rng(0)
    curve = -np.sort(-rng.uniform(0, 100, (50, LEVELS + 1)).astype(np.float32), axis=1)
    found = overlap(curve, at_share(curve, share))
    np.testing.assert_allclose(found, share, atol=1e-4)


def test_curves_decide_at_their_steps_alone() -> None:
    assert all(decides(k / 20) for k in range(21))
    assert not any(decides(share) for share in (0.12, 0.151, 0.149, 0.01, 0.99, 1 / 3))
