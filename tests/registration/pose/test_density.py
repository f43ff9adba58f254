from dataclasses import replace

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.registration.pose.density import (
    Density,
    as_fluorescence,
    dapi_density,
    he_density,
    working_mpp,
)
from regdata.slides.slide import Box
from regdata.slides.stain import RGB_FROM_HED, hematoxylin


def test_nuclei_stand_out_in_both_densities(section, pair_of, linear):
    pair = pair_of(section, linear(0))
    inside = section.radius > 3
    for density, points in (
        (he_density(pair.he, 1.0), section.xy),
        (dapi_density(pair.if_, 0, 1.0), section.xy + pair.he_to_if[:2, 2]),
    ):
        at = np.floor(points[inside]).astype(int)
        at = at[((at >= 0) & (at < density.values.shape[0])).all(1)]
        assert 0 <= density.values.min() < density.values.max() <= 1
        assert density.values[at[:, 1], at[:, 0]].mean() > density.values.mean() + 0.3


def test_tissue_is_widened_but_leaves_glass_out(section, pair_of, linear):
    density = he_density(pair_of(section, linear(0)).he, 1.0)
    at = np.floor(section.xy).astype(int)
    assert density.tissue[at[:, 1], at[:, 0]].all()
    assert not density.tissue[:20, :20].any()


@pytest.mark.parametrize(
    ("he_mpp", "if_mpp", "expected"), [(0.25, 0.325, 0.5), (0.25, 0.65, 0.65), (1.0, 0.5, 1.0)]
)
def test_working_pixels_are_no_finer_than_either_slide(slide, he_mpp, if_mpp, expected):
    he, if_ = (slide(np.zeros((1, 90, 90), np.uint16), mpp, "x.tif") for mpp in (he_mpp, if_mpp))
    assert working_mpp(he, if_) == expected


def test_working_pixels_are_coarser_on_a_large_slide(slide):
    small = slide(np.zeros((1, 90, 90), np.uint16), 0.25, "x.tif")
    large = replace(small, sizes=((100_000, 80_000),))
    assert working_mpp(small, large) == pytest.approx(25_000 / 4096)


@pytest.mark.parametrize("mpp", [1.0, 1.3, 2.0, 5.0])
def test_coarser_keeps_places(mpp):
    y, x = np.mgrid[:240, :320] * 0.5 + 0.25
    blob = np.exp(-((x - 71.3) ** 2 + (y - 44.9) ** 2) / (2 * 8**2)).astype(np.float32)
    coarse = Density(blob, 0.5, np.ones(blob.shape, bool)).coarser(mpp)
    grid = np.indices(coarse.values.shape)[::-1].reshape(2, -1)
    um = coarse.um_from_index[:2, :2] @ grid + coarse.um_from_index[:2, 2:]
    centre = um @ coarse.values.ravel() / coarse.values.sum()
    assert coarse.mpp == mpp
    assert centre == pytest.approx([71.3, 44.9], abs=0.05)


def test_band_takes_uneven_staining_off_and_cuts_spots():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.1, (200, 200)) + np.linspace(0, 1, 200)
    values[100, 100] = 50
    density = Density(values.astype(np.float32), 1.0, np.ones((200, 200), bool))
    band = density.band(1.0, 6.0).values
    assert np.abs(band).max() == 3.0
    assert np.abs(np.polyfit(np.arange(160), band[:, 20:180].mean(0), 1)[0]) < 1e-3
    assert abs(np.corrcoef(band.ravel(), values.ravel())[0, 1]) < 0.2


def test_a_flat_density_has_an_empty_band():
    flat = Density(np.full((50, 50), 0.3, np.float32), 1.0, np.ones((50, 50), bool))
    assert not np.isnan(flat.band(1, 6).values).any()
    assert np.abs(flat.band(1, 6).values).max() < 1


@pytest.mark.parametrize(
    ("level", "message"), [(255, "he.tif shows no tissue"), (238, "he.tif shows no tissue")]
)
def test_an_empty_he_slide_is_refused(slide, level, message):
    he = slide(np.full((3, 300, 300), level, np.uint8), 0.5, "he.tif")
    with pytest.raises(RegdataError, match=message):
        he_density(he, 1.0)


def test_an_if_slide_given_as_he_is_refused(slide):
    with pytest.raises(RegdataError, match=r"if.tif is not an 8-bit RGB picture .* H&E"):
        he_density(slide(np.zeros((2, 90, 90), np.uint16), 0.5, "if.tif"), 1.0)


def broken(value):
    image = np.random.default_rng(0).uniform(0, 9, (2, 90, 90)).astype(np.float32)
    image[0, 40, 50] = value
    return image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            np.zeros((2, 90, 90), np.uint16),
            r"channel DAPI of if.tif is constant \(value 0\).*`dapi=`",
        ),
        (np.full((2, 90, 90), 1234, np.uint16), r"constant \(value 1234\)"),
        (broken(np.nan), "channel DAPI of if.tif has values that are not numbers"),
        (broken(np.inf), "channel DAPI of if.tif has values that are not numbers"),
    ],
    ids=["zero", "constant", "nan", "infinite"],
)
def test_a_useless_dapi_channel_is_refused(slide, image, message):
    with pytest.raises(RegdataError, match=message):
        dapi_density(slide(image, 0.5, "if.tif"), 0, 1.0)


def ihc(section, mpp=1.0):
    """Nuclei in hematoxylin, and brown over the right half of every slide, as a (3, h, w) RGB."""
    size = round(section.side_um / mpp)
    nuclei = section.drawn(mpp, size, np.eye(3), False).clip(0, 1)
    brown = np.zeros_like(nuclei)
    brown[:, size // 2 :] = 0.7
    stains = np.stack([0.9 * nuclei, np.zeros_like(nuclei), brown + 0.05], axis=-1)
    return (np.exp(-stains @ RGB_FROM_HED) * 245).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


def test_nuclei_of_an_ihc_slide_light_up_whether_brown_or_not(section, slide):
    density = dapi_density(as_fluorescence(slide(ihc(section), 1.0, "ihc.tif"), "dab"), 0, 1.0)
    nuclei = section.drawn(1.0, density.values.shape[0], np.eye(3), False) > 0.7
    for half in (np.s_[:, 5:105], np.s_[:, 115:215]):
        inside, outside = density.values[half][nuclei[half]], density.values[half][~nuclei[half]]
        assert inside.mean() > outside.mean() + 0.5
    brown = density.values[:, 115:215][~nuclei[:, 115:215]].mean()
    assert brown == pytest.approx(density.values[:, 5:105][~nuclei[:, 5:105]].mean(), abs=0.1)


def test_a_hematoxylin_slide_has_nearly_the_density_of_an_he_slide(section, pair_of, linear):
    he = pair_of(section, linear(0)).he
    density = dapi_density(as_fluorescence(he, "hematoxylin"), 0, 1.0)
    expected = he_density(he, 1.0)
    assert density.values.shape == expected.values.shape
    assert np.corrcoef(density.values.ravel(), expected.values.ravel())[0, 1] > 0.99


def test_the_root_of_the_light_is_hematoxylin(section, slide):
    bright = slide(ihc(section), 1.0, "ihc.tif")
    light = as_fluorescence(bright, "dab").read((30, 40), (90, 50))
    assert light.dtype == np.float32
    expected = hematoxylin(bright.read_rgb((30, 40), (90, 50)))
    np.testing.assert_allclose(np.sqrt(light[0]), expected, atol=1e-6)


def test_a_bright_slide_keeps_its_sizes_and_is_read_when_asked_for(section, slide):
    read = []

    def pixels(level, box, channels):
        read.append((level, box, channels))
        return np.full((3, box.h, box.w), 200, np.uint8)

    plain = slide(np.zeros((3, 90, 90), np.uint8), 0.5, "ihc.tif")
    sizes = ((4000, 3000), (1000, 750))
    bright = replace(plain, sizes=sizes, pixels=pixels)
    light = as_fluorescence(bright, "hematoxylin")
    assert not read
    assert (light.sizes, light.mpp, light.path) == (sizes, 0.5, bright.path)
    assert light.channels == ("hematoxylin",)
    assert light.read((0, 0), (10, 600)).shape == (1, 600, 10)
    assert read == [(0, Box(0, 0, 10, 600), (0, 1, 2))]
    assert light.channel(0).read((-20, 0), (10, 10)).max() == 0  # outside it is dark


def test_an_if_slide_has_no_bright_field_stain(slide):
    if_ = slide(np.zeros((2, 90, 90), np.uint16), 0.5, "if.tif")
    with pytest.raises(RegdataError, match=r"if.tif is not an 8-bit RGB picture .* take dapi"):
        as_fluorescence(if_, "dab")


def test_a_moving_slide_without_pixel_size_asks_for_its_own_option(slide):
    unknown = slide(np.full((3, 90, 90), 200, np.uint8), None, "ihc.tif")
    with pytest.raises(RegdataError, match="if_mpp="):
        dapi_density(as_fluorescence(unknown, "dab"), 0, 1.0)
