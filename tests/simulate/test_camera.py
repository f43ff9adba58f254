"""Conditions under which a slide is photographed, each beside the slide without it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.simulate.placing import KINDS
from regdata.simulate.restaining import Restained, restain
from regdata.simulate.settings import AUTOFLUORESCENCE_EXPOSURE, RestainSettings
from regdata.simulate.tissue import Tissue, render_tissue

PLAIN = RestainSettings(dropout=0, lost=0, deep=0, rotation_deg=0, elastic_um=0)


@pytest.fixture(scope="module")
def section() -> Tissue:
    return render_tissue((900, 840), seed=4)


def photograph(section: Tissue, **conditions: object) -> Restained:
    settings = replace(PLAIN, **conditions)  # type: ignore[arg-type]
    positive = section.kinds == KINDS.index("lymphocyte")
    return restain(section.rgb, section.instances, positive, settings, seed=1)


def matrix(rise: float = 1.0, drift: float = 1.0) -> np.ndarray:
    """A slide of nothing but eosin, its border of glass cut off, (3, H, W)."""
    eosin = np.full((600, 800, 3), (225, 150, 200), np.uint8)
    settings = replace(
        PLAIN,
        vignetting=0,
        background=0.001,
        autofluorescence=0.5,
        autofluorescence_gradient=rise,
        drift=drift,
        autofluorescence_channel=True,
    )
    slide = restain(eosin, np.zeros((600, 800), np.int32), np.zeros(0, bool), settings, seed=0)
    return slide.image[:, 12:-12, 12:-12].astype(float) - 65535 / 400


def test_the_default_is_what_it_was() -> None:
    # recorded before there were conditions
    tissue = render_tissue((300, 260), seed=4)
    positive = tissue.kinds == KINDS.index("lymphocyte")
    slide = restain(tissue.rgb, tissue.instances, positive, RestainSettings(), seed=1)
    assert slide.image.shape == (2, 247, 279)
    assert slide.channels == ("DAPI", "CD3")
    before = [[777, 757, 573, 603], [673, 793, 789, 617]]
    # one count and 1e-5: a processor may round otherwise
    assert np.allclose(slide.image[:, 100, 100:104], before, rtol=0, atol=1)
    total = slide.image.sum((1, 2), dtype=np.int64)
    assert np.allclose(total, [83499460, 81863849], rtol=1e-5)
    assert not slide.spoiled.any()


def test_autofluorescence_rises_from_left_to_right() -> None:
    even, risen = matrix(), matrix(rise=4.0)
    for channel in (1, 2):
        left, right = (risen[channel][:, cut].mean() for cut in (np.s_[:20], np.s_[-20:]))
        assert right / left == pytest.approx(4.0, rel=0.1)
        middle = risen[channel].shape[1] // 2
        assert risen[channel][:, middle - 5 : middle + 5].mean() == pytest.approx(
            even[channel].mean(), rel=0.03
        )
        assert risen[channel][:20].mean() == pytest.approx(risen[channel][-20:].mean(), rel=0.03)


def test_the_exposure_of_the_marker_drifts_from_top_to_bottom() -> None:
    even, drifted = matrix(), matrix(drift=3.0)
    top, bottom = (drifted[1][cut].mean() for cut in (np.s_[:20], np.s_[-20:]))
    assert top / bottom == pytest.approx(3.0, rel=0.1)
    assert drifted[1][:, :20].mean() == pytest.approx(drifted[1][:, -20:].mean(), rel=0.03)
    assert np.array_equal(drifted[[0, 2]], even[[0, 2]])


def test_the_autofluorescence_channel_shows_nothing_else(section: Tissue) -> None:
    plain = photograph(section)
    seen = photograph(section, autofluorescence_channel=True)
    assert seen.channels == ("DAPI", "CD3", "AF")
    assert seen.image.shape == (3, *plain.image.shape[1:])
    assert np.array_equal(seen.image[:2], plain.image)  # the same noise
    eosin = matrix()
    assert eosin[2].mean() / eosin[1].mean() == pytest.approx(AUTOFLUORESCENCE_EXPOSURE, rel=0.02)
    assert eosin[2].std() > 50
    nuclei = cv2.erode((seen.image[1] > 4000).astype(np.uint8), np.ones((3, 3))) > 0
    assert nuclei.any()
    assert seen.image[2][nuclei].max() < 4000


def test_folded_tissue_shines_twice(section: Tissue) -> None:
    plain, folded = photograph(section), photograph(section, folds=1)
    more = folded.image[0].astype(float) - plain.image[0]
    changed = cv2.blur(np.abs(more), (25, 25)) > 100
    assert 0.01 < changed.mean() < 0.25
    assert more[changed].mean() > 500  # light is added
    assert 0.005 < folded.spoiled.mean() < 0.3
    xy = centres(section)
    column, row = np.floor(folded.he_to_if.points(xy * 0.25) / folded.mpp).astype(int).T
    assert (more[row, column] != 0)[folded.spoiled].mean() > 0.5
    assert (more[row, column] == 0)[~folded.spoiled].all()


def centres(section: Tissue) -> np.ndarray:
    y, x = np.nonzero(section.instances)
    ids = section.instances[y, x]
    sums = [np.bincount(ids, values)[1:] for values in (x + 0.5, y + 0.5)]
    return np.stack(sums, 1) / np.bincount(ids)[1:, None]


def test_patches_out_of_focus_are_soft(section: Tissue) -> None:
    plain, blurred = photograph(section), photograph(section, blurred=0.4)
    assert 0.05 < blurred.spoiled.mean() < 0.9
    column, row = np.floor(plain.he_to_if.points(centres(section) * 0.25) / plain.mpp).astype(int).T
    smooth = [cv2.GaussianBlur(s.image[0].astype(np.float32), (0, 0), 2) for s in (plain, blurred)]
    sharp = [cv2.GaussianBlur(np.abs(cv2.Laplacian(p, -1)), (0, 0), 8) for p in smooth]
    left = (sharp[1] / sharp[0])[row, column]
    assert np.median(left[blurred.spoiled]) < 0.5
    assert np.median(left[~blurred.spoiled]) == 1
    # light is spread, not lost
    assert blurred.image.mean() == pytest.approx(plain.image.mean(), rel=0.03)


def test_hot_pixels_are_as_many_as_asked_for(section: Tissue) -> None:
    plain, hot = photograph(section), photograph(section, hot=0.002)
    changed = plain.image != hot.image
    assert changed.mean() == pytest.approx(0.002, rel=0.1)
    assert (hot.image[changed].astype(float) - plain.image[changed] > 0.25 * 65535).mean() > 0.9


def test_a_high_gain_clips(section: Tissue) -> None:
    plain, bright = (photograph(section, bit_depth=12, saturate=s) for s in (1.0, 10.0))
    assert (plain.image[1] == 4095).mean() < 1e-4
    assert (bright.image[1] == 4095).mean() > 0.01
    assert bright.image.max() == 4095


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"drift": 0.0}, "drift > 0, got 0"),
        ({"autofluorescence_gradient": -1.0}, "autofluorescence_gradient > 0"),
        ({"blurred": 1.5}, "share 0..1 as blurred, got 1.5"),
        ({"folds": -1}, "folds >= 0, got -1"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(
    section: Tissue, conditions: dict[str, float], message: str
) -> None:
    with pytest.raises(RegdataError, match=message):
        photograph(section, **conditions)
