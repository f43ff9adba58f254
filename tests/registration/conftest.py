from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.slides.slide import Slide
from regdata.slides.stain import RGB_FROM_HED
from regdata.transforms.transform import Transform

Matrix = NDArray[np.float64]


def slide_of(image: NDArray[Any], mpp: float | None, name: str) -> Slide:
    """A slide of one level around a (C, h, w) array."""
    rgb = ("red", "green", "blue")
    return Slide(
        Path(name),
        ((image.shape[2], image.shape[1]),),
        mpp,
        rgb if image.dtype == np.uint8 else ("DAPI", "CD3"),
        image.dtype,
        lambda level, box, channels: image[
            list(channels), box.y : box.y + box.h, box.x : box.x + box.w
        ],
    )


@dataclass(frozen=True)
class Section:
    """Nuclei as discs in a lopsided piece of tissue: centres and radii in µm, outline."""

    xy: NDArray[np.float64]
    radius: NDArray[np.float64]
    gain: NDArray[np.float64]
    side_um: float

    @classmethod
    def random(cls, seed: int, side_um: float = 220.0) -> "Section":
        rng = np.random.default_rng(seed)
        xy = rng.uniform(0, side_um, (int(side_um**2 / 130), 2))
        # tissue: all but a corner and a gland off the middle
        keep = xy.sum(1) > 0.45 * side_um
        keep &= np.hypot(*(xy - [0.65 * side_um, 0.4 * side_um]).T) > 0.12 * side_um
        xy = xy[keep]
        radius = rng.lognormal(np.log(3.2), 0.25, len(xy))
        return cls(xy, radius, rng.lognormal(0, 0.35, len(xy)), side_um)

    def drawn(self, mpp: float, size: int, um_to_um: Matrix, gain: bool) -> NDArray[np.float32]:
        """Discs, painted after mapping their centres; a transform this small keeps them round."""
        at = (self.xy @ um_to_um[:2, :2].T + um_to_um[:2, 2]) / mpp
        image = np.zeros((size, size), np.float32)
        gains = self.gain if gain else np.ones(len(at))
        for (x, y), radius, value in zip(at, self.radius / mpp, gains, strict=True):
            # 4 more bits: centres to 1/16 pixel; OpenCV counts from the pixel's centre
            centre = (round((x - 0.5) * 16), round((y - 0.5) * 16))
            cv2.circle(image, centre, round(radius * 16), float(value), -1, cv2.LINE_8, 4)
        return cv2.GaussianBlur(image, (0, 0), 0.6 / mpp)


@dataclass(frozen=True)
class Pair:
    """The two slides of a section and the truth."""

    he: Slide
    if_: Slide
    he_to_if: Matrix
    xy_um: NDArray[np.float64]

    def error_um(self, found: Transform) -> NDArray[np.float64]:
        """Distance from where each nucleus in view was mapped to where it is."""
        true = self.xy_um @ self.he_to_if[:2, :2].T + self.he_to_if[:2, 2]
        size = np.array(self.if_.size) * self.if_.known_mpp()
        seen = ((true > 0) & (true < size)).all(1)
        apart = found.points(self.xy_um) - true
        return np.asarray(np.linalg.norm(apart, axis=1)[seen])


def affine(degrees: float, mirror: bool = False, scale: float = 1.0, shear: float = 0.0) -> Matrix:
    """The linear part of a map, (2, 2)."""
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    flip = np.diag([-1.0 if mirror else 1.0, 1.0])
    return scale * turn @ np.array([[1, shear], [0, 1]]) @ flip


def make_pair(
    section: Section,
    linear: Matrix,
    mpps: tuple[float, float] = (0.5, 0.65),
    field: float = 1.2,
    other: Section | None = None,
) -> Pair:
    """Stain a section twice; `other` puts another tissue on the IF slide."""
    he_mpp, if_mpp = mpps
    side = section.side_um
    he_to_if = np.eye(3)
    he_to_if[:2, :2] = linear
    middle = np.full(2, side / 2)
    he_to_if[:2, 2] = field * middle + [7.3, -4.1] - linear @ middle
    rng = np.random.default_rng(5)
    he = _he(section.drawn(he_mpp, round(side / he_mpp), np.eye(3), False), section, he_mpp, rng)
    size = round(field * side / if_mpp)
    dapi = (other or section).drawn(if_mpp, size, he_to_if, True)
    photons = rng.poisson(20 + 150 * dapi) * 6.0 + rng.normal(100, 4, dapi.shape)
    image = np.stack([photons, np.full_like(photons, 7)]).clip(0).astype(np.uint16)
    return Pair(
        slide_of(he, he_mpp, "he.tif"), slide_of(image, if_mpp, "if.tif"), he_to_if, section.xy
    )


def _he(
    nuclei: NDArray[np.float32], section: Section, mpp: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(3, h, w) RGB with eosin wherever nuclei are near."""
    near = cv2.GaussianBlur(nuclei, (0, 0), 12 / mpp) > 0.02
    densities = np.stack([0.9 * nuclei.clip(0, 1), 0.35 * near, np.zeros_like(nuclei)], axis=-1)
    light = np.exp(-densities @ RGB_FROM_HED) * 245 + rng.normal(0, 3, (*nuclei.shape, 3))
    return light.clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


@pytest.fixture(scope="session")
def section() -> Section:
    return Section.random(seed=1)


@pytest.fixture(scope="session")
def other_section() -> Section:
    return Section.random(seed=2)


@pytest.fixture(scope="session")
def pair_of() -> Callable[..., Pair]:
    return make_pair


@pytest.fixture(scope="session")
def linear() -> Callable[..., Matrix]:
    return affine


@pytest.fixture(scope="session")
def slide() -> Callable[..., Slide]:
    return slide_of
