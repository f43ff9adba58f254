import numpy as np
import pytest

from regdata.simulate.layout import plan
from regdata.simulate.maps import COARSE, lookup
from regdata.simulate.noise import Noise


@pytest.fixture(scope="module", params=[((1024, 768), 1), ((900, 1100), 2)])
def layout(request):
    size, seed = request.param
    rng = np.random.default_rng(seed)
    return plan(size, rng, Noise.make(rng))


def test_maps_cover_the_picture(layout):
    shape = (-(-layout.size[1] // COARSE), -(-layout.size[0] // COARSE))
    names = ("tissue", "gland", "lumen", "vessel", "cluster", "stream", "ray_x", "ray_y")
    assert {getattr(layout, name).shape for name in names} == {shape}


def test_glands_lie_apart_inside_the_tissue(layout):
    assert layout.glands
    for gland in layout.glands:
        assert lookup(layout.tissue, gland.outline).min() > 0
    inside = layout.gland > 4
    assert (layout.tissue[inside] > 0).all()
    assert (layout.lumen[~inside] < 0).all()
    assert (layout.lumen > 0).any()


def test_a_picture_too_small_for_glands_is_all_stroma():
    rng = np.random.default_rng(0)
    small = plan((256, 256), rng, Noise.make(rng))
    assert small.glands == ()
    assert small.gland.max() < -100
    assert np.isfinite(small.stream).all()


def test_tissue_leaves_glass_and_has_no_symmetry(layout):
    mask = layout.tissue > 0
    assert 0.4 < mask.mean() < 0.85
    for turned in (mask[::-1, ::-1], mask[::-1], mask[:, ::-1]):
        assert (mask & turned).sum() / (mask | turned).sum() < 0.97


def test_clusters_are_tissue(layout):
    assert layout.cluster.max() > 0.5
    assert (layout.cluster[layout.tissue <= 0] == 0).all()
