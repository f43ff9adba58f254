import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.registration.registration import MIN_Z, Registration, register
from regdata.slides.slide import Box
from regdata.transforms.file import read_about
from regdata.transforms.transform import Transform


@pytest.mark.parametrize(
    ("degrees", "mirror", "scale", "shear", "mpps", "field"),
    [
        (90, False, 1.0, 0.0, (0.5, 0.5), 1.0),
        (180, True, 1.0, 0.0, (0.25, 0.65), 1.2),
        (221, True, 1.03, 0.01, (0.5, 0.325), 1.2),
        (37, False, 0.97, 0.02, (0.5, 0.65), 0.6),
    ],
    ids=["quarter", "mirror, coarse IF", "any, fine IF", "part of the section"],
)
def test_a_known_affine_is_recovered(
    section, pair_of, linear, degrees, mirror, scale, shear, mpps, field
):
    pair = pair_of(section, linear(degrees, mirror, scale, shear), mpps, field)
    found = register(pair.he, pair.if_, 0)
    error = pair.error_um(found.he_to_if)
    assert np.median(error) < 0.25
    assert np.percentile(error, 90) < 0.7
    assert found.z > 1.5 * MIN_Z
    assert found.margin > 2


def test_another_section_is_refused(section, other_section, pair_of, linear):
    pair = pair_of(section, linear(20), other=other_section)
    with pytest.raises(
        RegdataError,
        match=r"he.tif and if.tif do not look like the same tissue: .*correlation 0\.\d\d .*"
        r"0\.\d\d needed",
    ) as caught:
        register(pair.he, pair.if_, 0)
    assert "\n" not in caught.value.message


def test_a_channel_of_noise_is_refused(section, pair_of, linear, slide):
    pair = pair_of(section, linear(0))
    noise = np.random.default_rng(0).poisson(300, (1, 400, 400)).astype(np.uint16)
    with pytest.raises(RegdataError, match="do not look like the same tissue"):
        register(pair.he, slide(noise, 0.65, "if.tif"), 0)


@pytest.mark.parametrize(("which", "option"), [("he", "he_mpp="), ("if_", "if_mpp=")])
def test_a_missing_pixel_size_is_asked_for(section, pair_of, linear, which, option):
    pair = pair_of(section, linear(0))
    slides = {"he": pair.he, "if_": pair.if_}
    slides[which] = replace(slides[which], mpp=None)
    with pytest.raises(RegdataError, match=option):
        register(slides["he"], slides["if_"], 0)


def test_progress_goes_up_to_one(section, pair_of, linear):
    pair = pair_of(section, linear(5), (1.0, 1.0))
    shares = []
    register(pair.he, pair.if_, 0, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 4


def test_what_is_stored_is_read_back(tmp_path):
    matrix = np.diag([1.0, 2.0, 1.0])
    found = Registration(
        he_to_if=Transform.affine(matrix),
        correlation=0.8,
        null_mean=0.01,
        null_sd=0.03,
        margin=4.0,
        affine_correlation=0.6,
        working_mpp=0.5,
    )
    found.save(tmp_path / "t.h5", {"he": "he.tif"})
    again = Registration.load(tmp_path / "t.h5")
    assert np.array_equal(again.he_to_if.matrix, found.he_to_if.matrix)
    assert again.numbers == found.numbers
    assert found.z == pytest.approx((np.arctanh(0.6) - 0.01) / 0.03)
    assert read_about(tmp_path / "t.h5")["he"] == "he.tif"


def test_a_bent_section_is_followed(section, pair_of, linear, slide):
    pair = pair_of(section, linear(30), (0.5, 0.5))
    y, x = np.mgrid[: pair.if_.size[1], : pair.if_.size[0]].astype(np.float32)
    wave = 4 * np.sin(y / 60) + 3 * np.cos(x / 80)
    image = pair.if_.pixels(0, Box(0, 0, *pair.if_.size), (0, 1)).astype(np.float32)
    bent = np.stack([cv2.remap(p, x + wave, y, cv2.INTER_CUBIC) for p in image])
    if_ = slide(bent.clip(0, 65535).astype(np.uint16), 0.5, "if.tif")
    true = section.xy @ pair.he_to_if[:2, :2].T + pair.he_to_if[:2, 2]
    at = true / 0.5
    for _ in range(20):  # where a bent slide shows what lay at `true`
        moved = 4 * np.sin((at[:, 1] - 0.5) / 60) + 3 * np.cos((at[:, 0] - 0.5) / 80)
        at = np.column_stack([true[:, 0] / 0.5 - moved, true[:, 1] / 0.5])
    inside = ((at > 10) & (at < np.array(if_.size) - 10)).all(1)

    def error(affine_only):
        found = register(pair.he, if_, 0, affine_only=affine_only)
        apart = np.linalg.norm(found.he_to_if.points(section.xy) - at * 0.5, axis=1)
        return np.median(apart[inside]), found

    (bad, straight), (good, following) = error(True), error(False)
    assert straight.he_to_if.is_affine
    assert good < 0.15 < 0.5 < bad
    assert following.correlation > straight.correlation + 0.05
    assert following.affine_correlation == pytest.approx(straight.correlation, abs=0.05)


def real(name):
    if "REGDATA_DATA" not in os.environ:
        pytest.skip("REGDATA_DATA is not set: no real pair of slides")
    path = Path(os.environ["REGDATA_DATA"]) / "pairs" / name
    picture = cv2.imread(str(path))
    return np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))


def dapi_of(picture, linear):
    """Any channel of a picture as 16-bit DAPI, turned about its middle."""
    plane = picture.astype(np.float32)
    middle = np.full(2, (plane.shape[0] - 1) / 2)
    matrix = np.column_stack([linear, middle - linear @ middle])
    edge = float(np.percentile(plane, 2))
    turned = cv2.warpAffine(plane, matrix, plane.shape[::-1], borderValue=edge)
    return (turned * 40 + 100).astype(np.uint16)[None]


REAL = {
    "lung": ("deepliif_restained/Lung1_Hematoxylin.png", "deepliif_restained/Lung1_DAPI.png", 0.25),
    "bladder": (
        "deepliif_restained/Bladder1_IHC.png",
        "deepliif_restained/Bladder1_DAPI.png",
        0.25,
    ),
    "crypts": ("orion_crypts/he.png", "orion_crypts/if.png", 0.42),
}


@pytest.mark.parametrize("name", REAL)
def test_real_pairs_are_accepted_where_they_are(name, slide, linear):
    he, if_, mpp = REAL[name]
    dapi = dapi_of(real(if_)[2], linear(70, mirror=True))
    he = slide(real(he), mpp, "he.tif")
    he_to_if = register(he, slide(dapi, mpp, "if.tif"), 0).he_to_if
    size_um = np.array(he.size) * mpp
    # the pictures themselves are registered to some 3 µm only
    assert np.linalg.norm(he_to_if.points(size_um / 2) - size_um / 2) < 4
    nearest = he_to_if.nearest_affine(size_um)
    assert nearest[:2, :2] == pytest.approx(linear(70, mirror=True), abs=0.03)


@pytest.mark.parametrize(("name", "other"), [("lung", "crypts"), ("crypts", "bladder")])
def test_real_slides_of_different_tissue_are_refused(name, other, slide, linear):
    he, _, he_mpp = REAL[name]
    _, if_, if_mpp = REAL[other]
    dapi = dapi_of(real(if_)[2], linear(0))
    with pytest.raises(RegdataError, match="do not look like the same tissue"):
        register(slide(real(he), he_mpp, "he.tif"), slide(dapi, if_mpp, "if.tif"), 0)
