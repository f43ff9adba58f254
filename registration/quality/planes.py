"""The two slides as maps of nuclei, piece by piece, all on the scales of the whole slide."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools, Plane
from regdata.registration.pose import FINEST_UM
from regdata.slides import Box, Slide, blurred_inside, hematoxylin, pixel_centres
from regdata.transforms import Transform, warped

_SAMPLES, _SAMPLE_PX = 48, 160  # places the scales are taken at, and pixels a side of one
_LOW, _HIGH, _BACKGROUND = 1.0, 99.5, 5.0  # percentiles, as in registration
_FINE_UM, _COARSE_UM = 0.5, 8.0  # sigma of the blur, and of what is taken off as uneven stain
_NODE_UM = 4.0  # between the points tested for lying on the IF slide
_RING = 4  # sigmas that a blur reaches


@dataclass(frozen=True)
class Scale:
    """Background of a stain on this slide, and its range above it."""

    background: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Plane, background: float = 0.0) -> "Scale":
        """The scale between percentiles 1 and 99.5 of values, any shape."""
        if values.size == 0:
            return cls(background, 0.0, 1.0)
        low, high = np.percentile(values, [_LOW, _HIGH])
        return cls(background, float(low), max(float(high), float(low) + 1e-6))

    def apply(self, values: Plane) -> Plane:
        """Values of this slide, any shape, scaled to 0 to 1."""
        scaled = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return np.asarray(scaled, np.float32)


@dataclass(frozen=True)
class Piece:
    """Nuclear detail of a box of the H&E frame.

    Attributes
    ----------
    fixed, moving
        (h, w) float32, hematoxylin and DAPI without what varies over many nuclei; NaN where the
        slide ends.
    nuclei, signal
        (h, w), the same two before that, 0 to 1: how much there is to see.
    """

    fixed: Plane
    moving: Plane
    nuclei: Plane
    signal: Plane


@dataclass(frozen=True)
class Planes:
    """Reads pieces of a pair of slides on one grid.

    Attributes
    ----------
    he
        The H&E slide.
    warped_if
        The nuclear channel of the IF slide in the frame of the H&E, at `mpp`.
    if_size_um
        (w, h) of the IF slide, µm.
    he_to_if
        µm on the H&E slide to µm on the IF slide.
    mpp
        µm per pixel of pieces.
    scales
        Of hematoxylin and of DAPI.
    """

    he: Slide
    warped_if: Slide
    if_size_um: NDArray[np.float64]
    he_to_if: Transform
    mpp: float
    scales: tuple[Scale, Scale]

    def read(self, box: Box) -> Piece:
        """Nuclear detail of a box, pixels of `mpp` in the H&E frame; it may leave the slide."""
        margin = math.ceil(_RING * _FINE_UM / self.mpp)
        wide = Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin)
        stain, dapi = self._raw(wide)
        nuclei, signal = (
            self.scales[0].apply(stain),
            self.scales[1].apply(_root(dapi, self.scales[1])),
        )
        on_he, on_if = self._on_he(wide), self._on_he(wide) & self._on_if(wide)
        inner = (slice(margin, margin + box.h), slice(margin, margin + box.w))
        fixed = _detail(nuclei, on_he, self.mpp)[inner]
        moving = _detail(signal, on_if, self.mpp)[inner]
        return Piece(fixed, moving, nuclei[inner], signal[inner])

    def _raw(self, box: Box) -> tuple[Plane, Plane]:
        """Hematoxylin density and DAPI of a box."""
        downsample = self.mpp / self.he.known_mpp("he_mpp")
        corner = (box.x * downsample, box.y * downsample)
        rgb = self.he.read_rgb(corner, (box.w, box.h), downsample)
        dapi = self.warped_if.read((box.x, box.y), (box.w, box.h))[0]
        return hematoxylin(rgb), np.nan_to_num(dapi.astype(np.float32))

    def _on_he(self, box: Box) -> Bools:
        size = np.array(self.he.size) * self.he.known_mpp("he_mpp") / self.mpp
        centres = pixel_centres(box)
        return np.asarray(((centres > 0) & (centres < size)).all(2))

    def _on_if(self, box: Box) -> Bools:
        step = max(1, round(_NODE_UM / self.mpp))
        nodes = pixel_centres(Box(box.x, box.y, box.w + step, box.h + step), step)
        um = self.he_to_if.points(nodes * self.mpp)
        inside = ((um > 0) & (um < self.if_size_um)).all(2)
        return np.kron(inside, np.ones((step, step), np.bool_))[: box.h, : box.w]


def open_planes(he: Slide, if_: Slide, dapi: int, he_to_if: Transform, tissue: Bools) -> Planes:
    """A reader of both slides in one frame; scales are measured once, in tissue all over the slide.

    Parameters
    ----------
    tissue
        (h, w) over the whole H&E slide, at any resolution.
    """
    he_mpp, if_mpp = he.known_mpp("he_mpp"), if_.known_mpp("if_mpp")
    mpp = max(FINEST_UM, he_mpp, min(if_mpp, 1.0))
    warped_if = warped(if_.channel(dapi), he, he_to_if, mpp)
    size_um = np.array(if_.size) * if_mpp
    planes = Planes(he, warped_if, size_um, he_to_if, mpp, (Scale(0, 0, 1), Scale(0, 0, 1)))
    stains, signals = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for box in _places(tissue, warped_if.size):
        stain, signal = planes._raw(box)
        inside = planes._on_he(box) & planes._on_if(box)
        stains.append(stain[planes._on_he(box)])
        signals.append(signal[inside])
    light = np.concatenate(signals)
    background = float(np.percentile(light, _BACKGROUND)) if light.size else 0.0
    scale = Scale.of(_root(light, Scale(background, 0, 1)), background)
    return replace(planes, scales=(Scale.of(np.concatenate(stains)), scale))


def _places(tissue: Bools, size: tuple[int, int]) -> list[Box]:
    """Boxes around places of tissue, evenly through the list of all of them."""
    rows, columns = np.nonzero(tissue)
    if len(rows) == 0:
        return []
    picked = np.unique(np.linspace(0, len(rows) - 1, _SAMPLES).astype(int))
    boxes = []
    for row, column in zip(rows[picked], columns[picked], strict=True):
        x = int((column + 0.5) / tissue.shape[1] * size[0]) - _SAMPLE_PX // 2
        y = int((row + 0.5) / tissue.shape[0] * size[1]) - _SAMPLE_PX // 2
        boxes.append(Box(x, y, _SAMPLE_PX, _SAMPLE_PX))
    return boxes


def _root(dapi: Plane, scale: Scale) -> Plane:
    """Square root of what is above the background: evens out bright and dim nuclei."""
    return np.asarray(np.sqrt(np.maximum(dapi - scale.background, 0)), np.float32)


def _detail(values: Plane, there: Bools, mpp: float) -> Plane:
    """What is left between two blurs, each over the pixels that are there; NaN elsewhere."""
    weight = there.astype(np.float32)
    fine, coarse = (blurred_inside(values, weight, sigma / mpp) for sigma in (_FINE_UM, _COARSE_UM))
    return np.where(there, fine - coarse, np.float32(np.nan)).astype(np.float32)
