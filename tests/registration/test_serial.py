"""Neighbouring sections drawn in memory: glands in common, every nucleus another one."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.registration.pose.density import as_fluorescence, he_density
from regdata.registration.registration import Registration
from regdata.registration.serial import MIN_MARGIN, MIN_Z, register_serial, structure
from regdata.slides.read_image import ArrayPixels
from regdata.slides.resampling import Pixels
from regdata.slides.slide import Box, Slide
from regdata.slides.stain import RGB_FROM_HED
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform

SIDE_UM = 2100.0
PIXEL = 9.0  # µm of the picture of glands

Plane = NDArray[np.float32]


def glands(seed: int) -> Plane:
    """How dense nuclei lie, 0 to 1, in a lopsided piece of tissue."""
    rng = np.random.default_rng(seed)
    size = round(SIDE_UM / PIXEL)
    noise = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), 4)
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = np.arctan2(y, x)
    tissue = np.hypot(x, y) < 0.36 + 0.05 * np.cos(angle + 1) + 0.03 * np.sin(3 * angle)
    return np.where(tissue, 0.25 + 0.75 * (noise > 0.4 * noise.std()), 0).astype(np.float32)


def seen(density: Plane, mpp: float, he_to_slide: Transform, seed: int) -> Plane:
    """A section of it with nuclei of its own, moved."""
    size = round(SIDE_UM / mpp)
    um = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2) + 0.5) * mpp
    at = (he_to_slide.inverse().points(um) / PIXEL - 0.5).astype(np.float32)
    here = cv2.remap(density, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    nuclei = np.random.default_rng(seed).gamma(2.0, 0.5, here.shape)
    return cv2.GaussianBlur((here * nuclei).astype(np.float32), (0, 0), 0.7)


def bright(nuclei: Plane, mpp: float, name: str, stain: int = 1) -> Slide:
    """Hematoxylin, and eosin (1) or DAB (2) wherever there is tissue."""
    stains = np.zeros((*nuclei.shape, 3))
    stains[..., 0] = 0.6 * nuclei
    stains[..., stain] = 0.3 * (cv2.GaussianBlur(nuclei, (0, 0), 3) > 0.1)
    light = np.exp(-stains @ RGB_FROM_HED) * 245
    light += np.random.default_rng(0).normal(0, 2, light.shape)
    image = light.clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
    return Slide(
        Path(name),
        (nuclei.shape[::-1],),
        mpp,
        ("red", "green", "blue"),
        image.dtype,
        ArrayPixels((image,)),
    )


def dapi(nuclei: Plane, mpp: float, name: str = "if.tif") -> Slide:
    image = np.random.default_rng(1).poisson(20 + 150 * nuclei).astype(np.uint16)[None]
    return Slide(
        Path(name), (nuclei.shape[::-1],), mpp, ("DAPI",), image.dtype, ArrayPixels((image,))
    )


def moved(degrees: float, mirror: bool, bend_um: float) -> Transform:
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn @ np.diag([-1.0 if mirror else 1.0, 1.0])
    middle = np.full(2, SIDE_UM / 2)
    matrix[:2, 2] = middle + np.array([60, -90]) - matrix[:2, :2] @ middle
    samples = np.random.default_rng(5).normal(0, bend_um, (2, 7, 7))
    field = Displacement.through(samples, np.full(2, -900.0), 900.0)
    return Transform.displaced(field).then(Transform.affine(matrix))


def error_um(found: Transform, truth: Transform) -> NDArray[np.float64]:
    """Over the tissue."""
    share = np.linspace(0.3, 0.7, 15) * SIDE_UM
    um = np.stack(np.meshgrid(share, share), 2).reshape(-1, 2)
    return np.asarray(np.linalg.norm(found.points(um) - truth.points(um), axis=1))


@pytest.fixture(scope="module")
def he() -> Slide:
    return bright(seen(glands(1), 4.5, Transform.identity(), 11), 4.5, "he.tif")


TRUTH = moved(130, True, 40)


@pytest.fixture(scope="module")
def next_section() -> Slide:
    """Brown, and known by its hematoxylin."""
    ihc = bright(seen(glands(1), 6.0, TRUTH, 12), 6.0, "ihc.tif", stain=2)
    return as_fluorescence(ihc, "dab")


@pytest.fixture(scope="module")
def straight(he: Slide, next_section: Slide) -> tuple[Registration, list[float]]:
    """The affine map, and the progress on the way to it, where a level of 0.5 µm exists too."""

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        assert level == 1 or box.w == 1, "a whole slide at full resolution fits no memory"
        return he.pixels(0, box, channels)

    width, height = he.size
    fine = replace(he, sizes=((9 * width, 9 * height), he.size), mpp=0.5, pixels=pixels)
    shares: list[float] = []
    return register_serial(fine, next_section, 0, shares.append, affine_only=True), shares


@pytest.fixture(scope="module")
def found(he: Slide, next_section: Slide) -> Registration:
    return register_serial(he, next_section, 0)


def test_a_turned_mirrored_bent_neighbour_is_followed(
    found: Registration, straight: tuple[Registration, list[float]]
) -> None:
    affine, _ = straight
    assert np.linalg.det(affine.he_to_if.matrix[:2, :2]) < 0
    bad, good = error_um(affine.he_to_if, TRUTH), error_um(found.he_to_if, TRUTH)
    assert np.median(bad) > 15
    assert np.median(good) < 0.6 * np.median(bad)
    assert np.percentile(good, 90) < 30
    assert found.correlation > affine.correlation + 0.02
    assert found.affine_correlation == pytest.approx(affine.correlation, abs=0.01)
    assert affine.working_mpp == found.working_mpp == 6.0


def test_a_neighbour_is_told_from_chance_with_room_to_spare(found: Registration) -> None:
    assert found.z > 2 * MIN_Z
    assert found.margin > 1.3 * MIN_MARGIN


def test_the_sections_share_no_nuclei(he: Slide, next_section: Slide) -> None:
    """Guards the fixture: nothing at the scale of nuclei may give the pose away."""
    fixed = he_density(he, 6.0)
    here = bright(seen(glands(1), 4.5, Transform.identity(), 13), 4.5, "again.tif")
    other = he_density(here, 6.0)
    fine = np.corrcoef(*(d.band(3, 6).values.ravel() for d in (fixed, other)))[0, 1]
    coarse = np.corrcoef(*(structure(d).values.ravel() for d in (fixed, other)))[0, 1]
    assert fine < 0.5 * coarse


def test_another_tissue_is_refused_by_name(he: Slide) -> None:
    other = dapi(seen(glands(2), 6.0, moved(20, False, 0), 12), 6.0)
    match = r"he.tif and if.tif do not look like the same tissue: .*0\.\d\d .*needed.*; check"
    with pytest.raises(RegdataError, match=match) as caught:
        register_serial(he, other, 0)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("which", "option"), [("he", "he_mpp="), ("if_", "if_mpp=")])
def test_a_missing_pixel_size_is_asked_for(
    he: Slide, next_section: Slide, which: str, option: str
) -> None:
    slides = {"he": he, "if_": next_section}
    slides[which] = replace(slides[which], mpp=None)
    with pytest.raises(RegdataError, match=option):
        register_serial(slides["he"], slides["if_"], 0)


def test_progress_goes_up_to_one(straight: tuple[Registration, list[float]]) -> None:
    _, shares = straight
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 4
