import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.simulate.placing import KINDS
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue

PLAIN = RestainSettings(dropout=0, lost=0, deep=0)


@pytest.fixture(scope="module")
def section():
    return render_tissue((640, 600), seed=4)


def lymphocytes(section):
    return section.kinds == KINDS.index("lymphocyte")


def measure(slide, instances, channel, mpp=0.25):
    """Mean of every nucleus in the IF, its pixels pushed one by one through the true map."""
    y, x = np.nonzero(instances)
    landed = slide.he_to_if.points((np.stack([x, y], 1) + 0.5) * mpp) / slide.mpp
    column, row = np.floor(landed).astype(int).T
    ids = instances[y, x]
    total = np.bincount(ids, slide.image[channel][row, column])
    return total[1:] / np.maximum(np.bincount(ids)[1:], 1)


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        replace(PLAIN, rotation_deg=133.0),
        replace(PLAIN, mirror=True, rotation_deg=-20.0, shift_um=(30.0, 10.0)),
        replace(PLAIN, if_mpp=0.5, scale=1.05, elastic_um=6.0, wavelength_um=150.0),
        replace(PLAIN, bit_depth=12),
    ],
    ids=["default", "rotated", "mirrored", "coarse", "12bit"],
)
def test_nuclei_shine_where_the_map_says(section, settings):
    positive = lymphocytes(section)
    slide = restain(section.rgb, section.instances, positive, settings, seed=1)
    marker = measure(slide, section.instances, 1)
    dapi = measure(slide, section.instances, 0)
    background = np.median(slide.image, axis=(1, 2))
    assert np.percentile(marker[positive], 5) > 2 * np.percentile(marker[~positive], 90)
    assert (dapi > 3 * background[0]).mean() > 0.97
    assert np.median(marker[~positive]) < 3 * background[1]
    assert np.array_equal(slide.stained, positive)
    assert slide.image.max() < 2**settings.bit_depth


def test_the_truth_says_who_is_stained(section):
    positive = lymphocytes(section)
    settings = RestainSettings(dropout=0.3, lost=0.2, deep=0)
    slide = restain(section.rgb, section.instances, positive, settings, seed=2)
    assert np.array_equal(slide.marked, positive)
    assert not (slide.stained & ~positive).any()
    assert 0.3 < slide.stained.sum() / positive.sum() < 0.8  # 0.7 * 0.8 expected
    marker = measure(slide, section.instances, 1)
    missing = positive & ~slide.stained
    assert np.median(marker[slide.stained]) > 4 * np.median(marker[missing])
    dapi = measure(slide, section.instances, 0)
    dark = (dapi < 0.2 * np.median(dapi)).mean()
    assert 0.1 < dark < 0.3


def test_the_frame_holds_the_tissue_and_is_dark_around(section):
    settings = replace(PLAIN, rotation_deg=45.0, shift_um=(60.0, 0.0))
    slide = restain(section.rgb, section.instances, lymphocytes(section), settings, seed=1)
    assert slide.channels == ("DAPI", "CD3")
    assert slide.image.dtype == np.uint16
    corners = np.array([[0, 0], [640, 0], [640, 600], [0, 600]]) * 0.25
    landed = slide.he_to_if.points(corners) / slide.mpp
    height, width = slide.image.shape[1:]
    assert landed.min() > 0
    assert (landed.max(0) < (width, height)).all()
    assert landed[:, 0].min() > 60 / slide.mpp
    outside = slide.image[:, :40, :40].astype(float)
    assert outside.std() > 0
    assert outside.mean() < 0.1 * np.percentile(slide.image, 99)


def test_the_seed_decides(section):
    ones = [
        restain(section.rgb, section.instances, lymphocytes(section), RestainSettings(), seed)
        for seed in (7, 7, 8)
    ]
    assert np.array_equal(ones[0].image, ones[1].image)
    assert np.array_equal(ones[0].stained, ones[1].stained)
    assert not np.array_equal(ones[0].stained, ones[2].stained)


def test_vignetting_darkens_the_corners_of_a_camera_field():
    glass = np.full((1500, 1500, 3), 255, np.uint8)
    settings = RestainSettings(vignetting=0.8, background=1.0, rotation_deg=0, elastic_um=0)
    slide = restain(glass, np.zeros((1500, 1500), np.int32), np.zeros(0, bool), settings, 0)
    field = int(330 / slide.mpp)
    middle = slide.image[0, field // 2 - 50 : field // 2 + 50, field // 2 - 50 : field // 2 + 50]
    corner = slide.image[0, field - 50 : field + 50, field - 50 : field + 50]
    assert corner.mean() < 0.4 * middle.mean()


def test_missing_numbers_and_no_nuclei_are_fine():
    he = np.full((80, 90, 3), 200, np.uint8)
    instances = np.zeros((80, 90), np.int32)
    instances[10:30, 10:30] = 3
    slide = restain(he, instances, np.array([True, False, True]), PLAIN, seed=1)
    assert slide.stained.tolist() == [True, False, True]
    assert measure(slide, instances, 1)[2] > 2000
    empty = restain(he, instances * 0, np.zeros(0, bool), PLAIN, seed=1)
    assert empty.image.max() < 5000


@pytest.mark.parametrize(
    ("positive", "shape", "settings", "message"),
    [
        (1, (20, 20, 3), PLAIN, "got 1 for 2 nuclei"),
        (2, (20, 21, 3), PLAIN, "got \\(20, 21, 3\\)"),
        (2, (20, 20, 3), replace(PLAIN, shift_um=(-1.0, 0.0)), "shift_um >= 0"),
    ],
)
def test_input_that_does_not_fit_is_refused(positive, shape, settings, message):
    instances = np.full((20, 20), 2, np.int32)
    with pytest.raises(RegdataError, match=message):
        restain(np.zeros(shape, np.uint8), instances, np.ones(positive, bool), settings, 1)


def test_real_tissue_with_manual_nuclei():
    folder = Path(os.environ.get("REGDATA_DATA", "")) / "consep" / "train"
    if "REGDATA_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("REGDATA_DATA with consep/train is not there")
    rgb = cv2.imread(str(folder / "images" / "train_1.jpg"))[..., ::-1].copy()
    truth = np.load(folder / "labels" / "train_1.npz")
    instances = truth["inst_map"].astype(np.int32)
    ids = np.arange(1, instances.max() + 1)
    inflammatory = ndimage.maximum(truth["type_map"], instances, ids) == 2
    slide = restain(rgb, instances, inflammatory, RestainSettings(), seed=1)
    marker = measure(slide, instances, 1)
    assert 0.8 < slide.stained.sum() / inflammatory.sum() < 0.97
    assert np.median(marker[slide.stained]) > 5 * np.median(marker[~slide.stained])
