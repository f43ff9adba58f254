from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.labelling.channels.background import Background, channel_background, without_background
from regdata.labelling.channels.correction import (
    Correction,
    CorrectionOptions,
    corrected,
    fit_correction,
    saturated,
)
from regdata.labelling.channels.flat_field import Shading
from regdata.simulate.placing import KINDS
from regdata.simulate.restaining import Restained, restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import Tissue, render_tissue
from regdata.slides.slide import Box, Slide
from regdata.slides.tissue import if_tissue


def slide_of(planes: NDArray[np.generic], mpp: float = 0.5, levels: int = 1) -> Slide:
    pyramid = [planes]
    for _ in range(levels - 1):
        c, h, w = pyramid[-1].shape
        small = pyramid[-1].reshape(c, h // 2, 2, w // 2, 2).mean((2, 4))
        pyramid.append(small.astype(planes.dtype))

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.generic]:
        return pyramid[level][list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    sizes = tuple((p.shape[2], p.shape[1]) for p in pyramid)
    names = ("DAPI", "CD3", "AF")[: len(planes)]
    return Slide(Path("if.tif"), sizes, mpp, names, planes.dtype, pixels)


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return render_tissue((1024, 1024), seed=3)


def photograph(tissue: Tissue, **conditions: object) -> Restained:
    settings = RestainSettings(**conditions)  # type: ignore[arg-type]
    positive = tissue.kinds == KINDS.index("lymphocyte")
    return restain(tissue.rgb, tissue.instances, positive, settings, seed=3)


def measure(plane: NDArray[np.float32], slide: Restained, instances: NDArray[np.int32]) -> NDArray:
    """Mean of every nucleus."""
    y, x = np.nonzero(instances)
    landed = slide.he_to_if.points((np.stack([x, y], 1) + 0.5) * 0.25) / slide.mpp
    column, row = np.floor(landed).astype(int).T
    ids = instances[y, x]
    return np.bincount(ids, plane[row, column])[1:] / np.maximum(np.bincount(ids)[1:], 1)


def spread(values: NDArray, slide: Restained) -> float:
    """Robust SD of the unmarked nuclei as a share of the mean of the stained ones.

    A plain SD is that of the few unmarked nuclei that touch a stained one.
    """
    negative = values[~slide.marked]
    robust = 1.4826 * np.median(np.abs(negative - np.median(negative)))
    return float(robust / values[slide.stained].mean())


def test_autofluorescence_that_rises_threefold_is_taken_out(tissue: Tissue) -> None:
    seen = photograph(
        tissue,
        autofluorescence=0.4,
        autofluorescence_gradient=3.0,
        autofluorescence_channel=True,
    )
    slide = slide_of(seen.image, seen.mpp)
    mask = if_tissue(slide, 0)
    spreads = {"raw": spread(measure(seen.image[1], seen, tissue.instances), seen)}
    for name, options in {
        "background": CorrectionOptions(),
        "both": CorrectionOptions(autofluorescence=2, dapi=0),
        "told": CorrectionOptions(autofluorescence=2, ratio=2.0),
    }.items():
        correction = fit_correction(slide, 1, mask, options)
        plane = corrected(slide, correction).overview(1.0)[0]
        spreads[name] = spread(measure(plane, seen, tissue.instances), seen)
        if name == "both":
            assert correction.autofluorescence is not None
            assert correction.autofluorescence[2] == pytest.approx(2.0, rel=0.05)
    # measured: 0.0139, 0.0149, 0.0038, 0.0038
    assert spreads["both"] < 0.4 * min(spreads["raw"], spreads["background"])
    assert spreads["both"] == pytest.approx(spreads["told"], rel=0.1)


def test_without_options_it_is_the_background_alone(tissue: Tissue) -> None:
    seen = photograph(tissue)
    slide = slide_of(seen.image, seen.mpp)
    mask = if_tissue(slide, 0)
    correction = fit_correction(slide, 1, mask)
    expected = without_background(slide, 1, channel_background(slide, 1, mask))
    box = Box(31, 77, 200, 150)
    assert np.array_equal(
        corrected(slide, correction).pixels(0, box, (0,)), expected.pixels(0, box, (0,))
    )
    assert correction.saturation is None
    assert not saturated(slide, correction).overview(1.0).any()


def everything(size: tuple[int, int]) -> tuple[Slide, Correction]:
    """A slide of noise with hot pixels, and a correction of all there is to correct."""
    rng = np.random.default_rng(0)
    planes = rng.poisson(300, (3, size[1], size[0]))
    planes[rng.random(planes.shape) < 2e-3] = 4095
    planes[1, 40:60, 40:60] = 4095
    profile = 1 + 0.2 * np.cos(np.linspace(0, 3, 16))[:, None] * np.ones(16)
    correction = Correction(
        1,
        Background(rng.uniform(0, 200, (3, 4)).astype(np.float32), 50.0),
        (2, Background(rng.uniform(0, 100, (3, 4)).astype(np.float32), 40.0), 0.7),
        Shading((profile / profile.mean()).astype(np.float32), 61.5),
        True,
        4095.0,
    )
    return slide_of(planes.astype(np.uint16), levels=2), correction


def test_a_pixel_does_not_depend_on_the_region_it_is_read_with() -> None:
    slide, correction = everything((160, 120))
    for one in (corrected(slide, correction), saturated(slide, correction)):
        assert one.dtype == np.float32
        assert one.channels == ("CD3",)
        for level, step in ((0, 1.0), (1, 2.0)):
            whole = one.pixels(level, Box(0, 0, *one.sizes[level]), (0,))
            for box in (Box(0, 0, 30, 20), Box(37, 41, 22, 13), Box(50, 30, 30, 30)):
                part = one.pixels(level, box, (0,))
                there = np.s_[:, box.y : box.y + box.h, box.x : box.x + box.w]
                assert np.allclose(part, whole[there], atol=2e-3)
            coarse = one.read((20.0, 10.0), (25, 15), step * 1.3)
            again = one.read((20.0 + step * 1.3 * 5, 10.0), (20, 15), step * 1.3)
            assert np.allclose(coarse[..., 5:], again, atol=0.05)


def test_the_order_of_the_steps() -> None:
    slide, correction = everything((160, 120))
    light = corrected(slide, correction).overview(1.0)[0]
    clean = slide.overview(1.0).astype(np.float32)
    steady = (clean < 1000).all(0)  # pixels that are not hot, in no channel
    shade = correction.shading.at((0, 0), (160, 120), 1.0)  # type: ignore[union-attr]
    channel, under, ratio = correction.autofluorescence or (0, correction.background, 0.0)
    marker = clean[1] / shade - correction.background.at((0, 0), (160, 120), 1.0)
    other = clean[channel] / shade - under.at((0, 0), (160, 120), 1.0)
    assert np.allclose(light[steady], (marker - ratio * other)[steady], atol=1e-2)
    hot = (clean[1] == 4095) & (clean[2] < 1000)
    hot[35:65, 35:65] = False
    assert hot.sum() > 10
    assert light[hot].max() < 1000


def test_clipped_pixels_are_marked_and_hot_ones_are_not() -> None:
    slide, correction = everything((160, 120))
    clipped = saturated(slide, correction).overview(1.0)[0]
    assert set(np.unique(clipped)) == {0.0, 1.0}
    assert clipped[41:59, 41:59].all()
    assert clipped.sum() < 440


def test_saturation_is_found(tissue: Tissue) -> None:
    seen = photograph(tissue, saturate=12.0, bit_depth=12)
    slide = slide_of(seen.image, seen.mpp)
    correction = fit_correction(slide, 1, if_tissue(slide, 0))
    assert correction.saturation == 4095
    share = measure(saturated(slide, correction).overview(1.0)[0], seen, tissue.instances)
    assert np.median(share[seen.stained]) > 0.5
    assert np.median(share[~seen.marked]) == 0


def test_shading_of_the_camera_is_found() -> None:
    section = np.full((2200, 2600, 3), (225, 150, 200), np.uint8)  # matrix everywhere
    settings = RestainSettings(
        vignetting=0.6, autofluorescence=0.5, rotation_deg=0, elastic_um=0, if_mpp=0.65, lost=0
    )
    nothing = np.zeros(section.shape[:2], np.int32)
    seen = restain(section, nothing, np.zeros(0, bool), settings, 0, he_mpp=0.5)
    slide = slide_of(seen.image, seen.mpp)
    mask = np.ones(seen.image.shape[1:], bool)
    flat = fit_correction(slide, 1, mask, CorrectionOptions(field_um=330.0))
    assert flat.shading is not None
    assert flat.shading.profile.min() < 0.75
    raw = slide.overview(20.0, (1,))[0][5:-5, 5:-5].astype(float)
    even = raw / flat.shading.at((100, 100), (raw.shape[1], raw.shape[0]), 20.0)
    assert even.std() / even.mean() < 0.25 * raw.std() / raw.mean()


def test_arrays_hold_all_of_it(tmp_path: Path) -> None:
    _, full = everything((160, 120))
    plain = Correction(0, full.background)
    for correction in (full, plain):
        np.savez(tmp_path / "c.npz", **correction.to_arrays())
        with np.load(tmp_path / "c.npz") as stored:
            back = Correction.from_arrays(stored)
        assert np.array_equal(back.background.grid, correction.background.grid)
        assert str(back.describe()) == str(correction.describe())
        assert back.saturation == correction.saturation
        assert back.hot == correction.hot
    assert set(plain.describe()) == {"channel", "background", "hot_pixels_repaired"}
    assert full.describe()["autofluorescence"]["ratio"] == 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CorrectionOptions(autofluorescence=1), "which is the marker"),
        (CorrectionOptions(autofluorescence=0, dapi=0), "which is the nuclear"),
        (CorrectionOptions(autofluorescence=2), "is constant"),
        (CorrectionOptions(ratio=1.0), "got ratio 1 and no channel"),
        (CorrectionOptions(autofluorescence=2, ratio=-1.0), "got ratio -1 and AF"),
    ],
)
def test_wishes_that_cannot_be_met(options: CorrectionOptions, message: str) -> None:
    planes = np.random.default_rng(0).integers(0, 100, (3, 200, 200)).astype(np.uint16)
    planes[2] = 7
    with pytest.raises(RegdataError, match=message):
        fit_correction(slide_of(planes), 1, np.ones((50, 50), bool), options)
