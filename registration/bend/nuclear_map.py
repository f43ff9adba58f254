"""Nuclear density of a slide read in parts, at any resolution: what a dense step works on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.registration.pose import Density, dapi_density, he_density
from regdata.slides import Box, Pixels, Slide, hematoxylin, resample

_IN_MEMORY = 4096  # px a side; a map up to this is computed once and kept
_SAMPLED = 24  # places at which the scale of a large slide's map is measured
_SAMPLED_PX = 512
_LOW, _HIGH, _BACKGROUND = 1.0, 99.5, 5.0  # percentiles, as of the overview


@dataclass(frozen=True)
class NuclearMap:
    """Density, 0 to 1, of any part of a slide.

    Attributes
    ----------
    size_um
        (w, h) of the slide.
    finest_um
        µm per pixel below which there is nothing more to see.
    part
        Reads a box, in pixels of a size (µm) counted from the slide's corner; (h, w) float32,
        0 outside the slide.
    shows
        Whether there is tissue in such a box.
    """

    size_um: NDArray[np.float64]
    finest_um: float
    part: Callable[[Box, float], Plane]
    shows: Callable[[Box, float], bool]

    @classmethod
    def of(cls, density: Density) -> "NuclearMap":
        """A map that reads from a density in memory."""
        levels: dict[float, Plane] = {}

        def part(box: Box, mpp: float) -> Plane:
            if mpp not in levels:
                levels[mpp] = _at(density, mpp)
            return _cut(levels[mpp], box)

        return cls(density.size_um, density.mpp, part, _tissue(density))

    @classmethod
    def read(
        cls, slide: Slide, mpp: float, overview: Density, nuclear: Callable[[Pixels], Plane]
    ) -> "NuclearMap":
        """A map that reads its slide anew for every part.

        Parameters
        ----------
        slide
            With the channels that are needed only.
        mpp
            µm per level-0 pixel.
        overview
            Of the whole slide; says where there is tissue.
        nuclear
            Density (h, w), 0 to 1, of (C, h, w) pixels.
        """

        def part(box: Box, part_mpp: float) -> Plane:
            return nuclear(_pixels(slide, mpp, box, part_mpp))

        return cls(np.array(slide.size) * mpp, mpp, part, _tissue(overview))


def he_map(he: Slide, mpp: float, overview: Density) -> NuclearMap:
    """Hematoxylin of an H&E slide for parts of `mpp` µm per pixel and coarser."""
    own = he.known_mpp("he_mpp")
    if _fits(he, own, mpp):
        return NuclearMap.of(overview if _same(overview.mpp, mpp) else he_density(he, mpp))
    return _streamed(he, own, mpp, overview, _hematoxylin)


def moving_map(if_: Slide, channel: int, mpp: float, overview: Density) -> NuclearMap:
    """Nuclear density of the moving slide for parts of `mpp` µm per pixel and coarser."""
    own = if_.known_mpp("if_mpp")
    if _fits(if_, own, mpp):
        finest = max(mpp, own)
        same = _same(overview.mpp, finest)
        return NuclearMap.of(overview if same else dapi_density(if_, channel, finest))
    return _streamed(if_.channel(channel), own, mpp, overview, _intensity)


def _fits(slide: Slide, own: float, mpp: float) -> bool:
    return max(slide.size) * own / max(mpp, own) <= _IN_MEMORY


def _same(a: float, b: float) -> bool:
    return abs(a / b - 1) < 0.01


def _streamed(
    slide: Slide, own: float, mpp: float, overview: Density, signal: Callable[[Pixels], Plane]
) -> NuclearMap:
    """A map whose scale comes from a sample of places, as large slides fit no memory."""
    boxes = _places(overview, mpp)
    sample = np.concatenate([signal(_pixels(slide, own, box, mpp)).ravel() for box in boxes])
    if signal is _intensity:
        background = np.float32(np.percentile(sample, _BACKGROUND))
        sample = np.sqrt(np.maximum(sample - background, 0))
    low, high = (np.float32(p) for p in np.percentile(sample, (_LOW, _HIGH)))
    spread = max(high - low, np.float32(1e-6))

    def nuclear(pixels: Pixels) -> Plane:
        values = signal(pixels)
        if signal is _intensity:
            values = np.sqrt(np.maximum(values - background, 0))
        return np.asarray(np.clip((values - low) / spread, 0, 1), np.float32)

    return NuclearMap.read(slide, own, overview, nuclear)


def _hematoxylin(pixels: Pixels) -> Plane:
    return hematoxylin(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _intensity(pixels: Pixels) -> Plane:
    return np.asarray(pixels[0], np.float32)


def _pixels(slide: Slide, own: float, box: Box, mpp: float) -> Pixels:
    scale = mpp / own
    return slide.read((box.x * scale, box.y * scale), (box.w, box.h), scale)


def _places(overview: Density, mpp: float) -> list[Box]:
    """Boxes, in pixels of `mpp`, spread evenly over the half of the slide with most nuclei."""
    side = max(1, round(_SAMPLED_PX * mpp / overview.mpp))
    rows, columns = (max(1, length // side) for length in overview.values.shape)
    cut = overview.values[: rows * side, : columns * side]
    dense = np.add.reduceat(
        np.add.reduceat(cut, np.arange(rows) * side, 0), np.arange(columns) * side, 1
    )
    order = np.flatnonzero(dense.ravel() >= np.median(dense[dense > 0]))
    picked = order[np.linspace(0, len(order) - 1, min(_SAMPLED, len(order))).astype(int)]
    scale = side * overview.mpp / mpp
    return [
        Box(round(i % columns * scale), round(i // columns * scale), _SAMPLED_PX, _SAMPLED_PX)
        for i in picked.tolist()
    ]


def _at(density: Density, mpp: float) -> Plane:
    """Values of a density at any pixel size, coarser or finer."""
    scale = mpp / density.mpp
    if abs(scale - 1) < 0.01:
        return density.values
    width, height = np.ceil(density.size_um / mpp - 1e-6).astype(int).tolist()
    return np.asarray(resample(density.values, (0, 0), (width, height), scale), np.float32)


def _tissue(density: Density) -> Callable[[Box, float], bool]:
    def shows(box: Box, mpp: float) -> bool:
        scale = mpp / density.mpp
        x, y = (max(0, int(start * scale)) for start in (box.x, box.y))
        right, bottom = (int(np.ceil(end * scale)) for end in (box.x + box.w, box.y + box.h))
        return bool(density.tissue[y : max(bottom, y + 1), x : max(right, x + 1)].any())

    return shows


def _cut(values: Plane, box: Box) -> Plane:
    """A box of a plane, 0 outside it."""
    height, width = values.shape
    x0, y0 = max(box.x, 0), max(box.y, 0)
    x1, y1 = min(box.x + box.w, width), min(box.y + box.h, height)
    out = np.zeros((box.h, box.w), np.float32)
    if x1 > x0 and y1 > y0:
        out[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] = values[y0:y1, x0:x1]
    return out
