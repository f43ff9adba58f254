import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.simulate.warp import Warp, elastic, frame, similarity


def make(rotation=30.0, mirror=False, scale=1.0, rms=1.5, seed=0):
    rng = np.random.default_rng(seed)
    return elastic(similarity(rotation, mirror, scale), rms, 500.0, rng)


@settings(max_examples=60, deadline=None)
@given(
    rotation=st.floats(-180, 180),
    mirror=st.booleans(),
    scale=st.floats(0.8, 1.25),
    rms=st.floats(0, 12),
    seed=st.integers(0, 50),
)
def test_there_and_back(rotation, mirror, scale, rms, seed):
    warp = make(rotation, mirror, scale, rms, seed)
    xy = np.random.default_rng(seed).uniform(-500, 2500, (40, 2))
    assert np.abs(warp.inverse_points(warp.points(xy)) - xy).max() < 1e-4
    assert np.abs(warp.points(warp.inverse_points(xy)) - xy).max() < 1e-4


@pytest.mark.parametrize(
    ("rotation", "mirror", "scale", "expected"),
    [
        (0, False, 1, (3, 1)),
        (90, False, 1, (-1, 3)),  # from x to y
        (0, True, 1, (-3, 1)),
        (90, True, 1, (-1, -3)),  # mirrored first, then turned
        (180, False, 2, (-6, -2)),
    ],
)
def test_similarity_by_hand(rotation, mirror, scale, expected):
    warp = Warp.affine(similarity(rotation, mirror, scale))
    assert warp.points(np.array([[3.0, 1.0]]))[0] == pytest.approx(expected)


def test_displacement_has_the_wanted_size_and_is_smooth():
    warp = make(rms=1.5)
    xy = np.random.default_rng(1).uniform(0, 50_000, (20_000, 2))
    length = np.linalg.norm(warp.displacement(xy), axis=1)
    assert np.sqrt((length**2).mean()) == pytest.approx(1.5, rel=0.1)
    beside = warp.displacement(xy + np.array([5.0, 0]))  # a hundredth of a wave
    assert np.linalg.norm(beside - warp.displacement(xy), axis=1).max() < 0.4


def test_shapes_of_points_are_kept():
    warp = make()
    grid = np.zeros((4, 5, 2))
    assert warp.points(grid).shape == (4, 5, 2)
    assert warp.inverse_points(grid).shape == (4, 5, 2)
    assert warp.inverse_points(np.zeros((0, 2))).shape == (0, 2)


def test_a_displacement_that_folds_is_refused():
    with pytest.raises(RegdataError, match="smaller amplitude"):
        make(rms=600).inverse_points(np.random.default_rng(0).uniform(0, 2000, (200, 2)))


@pytest.mark.parametrize("rotation", [0, 45, 160])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_frame_holds_the_whole_slide(rotation, mirror):
    warp, (width, height) = frame(make(rotation, mirror, rms=3), (800, 300), (50, 0), 5)
    x, y = np.meshgrid(np.linspace(0, 800, 60), np.linspace(0, 300, 60))
    landed = warp.points(np.stack([x, y], -1).reshape(-1, 2))
    assert landed.min(0) == pytest.approx([55, 5], abs=0.1)
    assert landed.max(0) == pytest.approx([width - 5, height - 5], abs=0.1)
