from dataclasses import replace

import cv2
import numpy as np
import pytest

from regdata.registration.quality.assessment import tile_quality
from regdata.registration.quality.pictures import draw_quality
from regdata.transforms.transform import Transform

NAMES = ["quality_error", "quality_deformation"] + [
    f"quality_{what}_{place}"
    for place in ("best", "median", "worst")
    for what in ("overlay", "checkerboard")
]


def read(path):
    return cv2.imread(str(path))[..., ::-1].astype(int)


@pytest.fixture(scope="module")
def drawn(section, pair_of, linear, tmp_path_factory):
    pair = pair_of(section, linear(30), (0.5, 0.65))
    true = Transform.affine(pair.he_to_if)
    quality = tile_quality(pair.he, pair.if_, 0, true)
    folder = tmp_path_factory.mktemp("pictures") / "new"
    return pair, true, quality, draw_quality(pair.he, pair.if_, 0, true, quality, folder)


def test_every_picture_is_written(drawn):
    *_, paths = drawn
    assert [path.stem for path in paths] == NAMES
    assert all(min(read(path).shape[:2]) > 200 for path in paths)


def test_the_error_map_shows_which_tiles_are_off(drawn, tmp_path):
    pair, true, quality, _ = drawn
    wide = quality.shape[1]
    error = np.where(np.arange(len(quality.status)) % wide == 0, 6.0, 0.1)
    changed = replace(quality, error_um=error, status=np.full(len(error), "accept", "U8"))
    image = read(draw_quality(pair.he, pair.if_, 0, true, changed, tmp_path)[0])
    middle = image[100:200]
    left, right = middle[:, 10:100].mean((0, 1)), middle[:, 150:250].mean((0, 1))
    assert left[0] > left[2] + 50  # yellow from 4 µm on
    assert right[2] > right[1] + 20  # dark blue near 0


def test_aligned_nuclei_are_white_and_others_are_not(drawn, tmp_path):
    pair, true, quality, paths = drawn
    shifted = Transform.affine(np.array([[1.0, 0, 6], [0, 1, 6], [0, 0, 1]])).then(true)
    off = draw_quality(pair.he, pair.if_, 0, shifted, quality, tmp_path)
    white = []
    for found in (paths, off):
        picture = read(found[NAMES.index("quality_overlay_median")])[28:]
        stained = picture.max(2) > 100
        white.append((picture.min(2) > 100).sum() / stained.sum())
    assert white[0] > 1.5 * white[1]


def test_without_an_accepted_tile_the_places_are_any_that_show_something(drawn, tmp_path):
    pair, true, quality, _ = drawn
    rejected = replace(quality, status=np.where(quality.status == "empty", "empty", "reject"))
    assert len(draw_quality(pair.he, pair.if_, 0, true, rejected, tmp_path)) == len(NAMES)


def test_a_slide_with_nothing_to_see_still_gets_its_maps(drawn, tmp_path):
    pair, true, quality, _ = drawn
    empty = replace(
        quality,
        status=np.full(len(quality.status), "empty", "U8"),
        error_um=np.full(len(quality.status), np.nan),
        tissue=np.zeros(len(quality.status)),
    )
    paths = draw_quality(pair.he, pair.if_, 0, true, empty, tmp_path)
    assert [path.stem for path in paths] == NAMES[:2]


def test_a_scale_bar_has_the_length_it_says(drawn):
    *_, paths = drawn
    picture = read(paths[NAMES.index("quality_overlay_best")])
    box = picture[-40:-6, 6:300]
    black = (box.max(2) == 0).sum(1).max()
    # 440 px of 0.5 µm: 20 µm is the longest that fits into a fifth
    assert black == pytest.approx(20 / 0.5, abs=1)
