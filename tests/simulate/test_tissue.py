import numpy as np
import pytest
from skimage.measure import label, regionprops

from regdata.errors import RegdataError
from regdata.simulate.placing import KINDS
from regdata.simulate.tissue import render_tissue
from regdata.slides.stain import hematoxylin


@pytest.fixture(scope="module")
def section():
    return render_tissue((1100, 900), seed=3)


def test_shapes_and_types(section):
    assert section.rgb.shape == (900, 1100, 3)
    assert section.rgb.dtype == np.uint8
    assert section.instances.shape == (900, 1100)
    assert section.instances.dtype == np.int32
    assert section.kinds.dtype == np.uint8


def test_ids_are_contiguous_and_big_enough(section):
    sizes = np.bincount(section.instances.ravel())[1:]
    assert len(sizes) == len(section.kinds)
    assert sizes.min() >= 30


def test_every_kind_is_there_with_its_size(section):
    assert set(section.kinds) == set(range(len(KINDS)))
    shapes = regionprops(section.instances)
    axes = np.array([(s.axis_major_length, s.axis_minor_length) for s in shapes])
    expected = {
        "epithelial": ((32, 48), (23, 34)),
        "lymphocyte": ((23, 31), (21, 29)),
        "fibroblast": ((40, 70), (8, 16)),
    }
    for name, (major, minor) in expected.items():
        middle = np.median(axes[section.kinds == KINDS.index(name)], axis=0)
        assert major[0] <= middle[0] <= major[1]
        assert minor[0] <= middle[1] <= minor[1]


def test_nuclei_are_as_dense_as_in_tissue(section):
    tissue = section.rgb.mean(-1) < 235
    assert 0.3 < tissue.mean() < 0.9
    per_tile = len(section.kinds) / tissue.sum() * 1024**2
    assert 200 < per_tile < 650


def test_almost_every_nucleus_is_one_piece_and_some_touch(section):
    pieces = label(section.instances, connectivity=2)
    assert pieces.max() <= 1.03 * len(section.kinds)
    touching = label(section.instances > 0, connectivity=2).max()
    assert touching < 0.95 * len(section.kinds)


def test_hematoxylin_tells_nuclei_from_the_rest(section):
    density = hematoxylin(section.rgb)
    inside = section.instances > 0
    assert np.median(density[inside]) > 3 * np.median(density[~inside])
    assert (density[inside] > np.percentile(density[~inside], 90)).mean() > 0.8


def test_corners_are_glass(section):
    for corner in (section.rgb[:8, :8], section.rgb[-8:, :8]):
        assert corner.mean() > 235


def test_the_seed_decides(section):
    small = [render_tissue((300, 280), seed) for seed in (5, 5, 6)]
    assert np.array_equal(small[0].rgb, small[1].rgb)
    assert np.array_equal(small[0].instances, small[1].instances)
    assert np.array_equal(small[0].kinds, small[1].kinds)
    assert not np.array_equal(small[0].rgb, small[2].rgb)


def test_tiles_leave_no_seam(section):
    step = np.abs(np.diff(section.rgb.astype(int).sum(-1), axis=1)).mean(0)
    seams = step[[511, 1023]]
    assert seams.max() < 1.3 * np.median(step[400:700])


def test_a_picture_too_small_is_refused():
    with pytest.raises(RegdataError, match="at least 256"):
        render_tissue((100, 500), seed=0)
