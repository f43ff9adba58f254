"""A simulated H&E section of known nuclei: what a slide scanner would make of a plan.

Conventions
-----------
0.25 µm per pixel; arrays (H, W), sizes (w, h), pixel i has its centre at i + 0.5.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.simulate.ground import ground
from regdata.simulate.layout import Layout, plan
from regdata.simulate.noise import Noise
from regdata.simulate.nuclei import DENSITY_STEP, Painted, paint
from regdata.simulate.placing import KINDS, candidates
from regdata.simulate.spots import Spots, scatter
from regdata.simulate.tiles import blocks, for_each
from regdata.slides import RGB_FROM_HED, Box

__all__ = ["KINDS", "MPP", "Tissue", "render_tissue"]

MPP = 0.25
"""µm per pixel of every simulated section."""
_TILE = 512
_MARGIN = 8  # px drawn around a tile so that blur has no seams
_PSF = 0.8  # px
_SHARPEN = 0.6  # scanners do this to their pictures
_GRAIN = 1.8  # sensor noise, grey levels
_GLASS = np.array([244, 242, 245], np.float32)
_LEAST_SIDE = 256


@dataclass(frozen=True)
class Tissue:
    """A section and its truth.

    Attributes
    ----------
    rgb
        (H, W, 3) uint8, H&E at 0.25 µm/px.
    instances
        (H, W) int32, visible nuclei 1..N, touching nuclei separate.
    kinds
        (N,) uint8, index into `KINDS` of instance i + 1.
    """

    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    kinds: NDArray[np.uint8]


@dataclass(frozen=True)
class _Section:
    """All that a tile is developed from."""

    layout: Layout
    noise: Noise
    painted: Painted
    spots: Spots
    strength: tuple[float, float]  # of hematoxylin and eosin, this slide's staining
    seed: int


def render_tissue(size: tuple[int, int], seed: int) -> Tissue:
    """A simulated H&E section with its nuclei and their kinds.

    Parameters
    ----------
    size
        (w, h), px; at least 256 each.
    seed
        The same seed gives the same section.

    Returns
    -------
    Tissue
        Image, instances and kinds.

    Examples
    --------
    >>> section = render_tissue((256, 256), seed=1)
    >>> section.rgb.shape, len(section.kinds) == int(section.instances.max())
    ((256, 256, 3), True)
    """
    if min(size) < _LEAST_SIDE:
        raise RegdataError(f"expected a size of at least {_LEAST_SIDE} px, got {size}")
    rng = np.random.default_rng(seed)
    noise = Noise.make(rng)
    layout = plan(size, rng, noise)
    painted = paint(candidates(layout, rng), size, rng)
    spots = scatter(layout, painted.nuclei, rng)
    strength = (rng.uniform(0.95, 1.15), rng.uniform(0.9, 1.15))
    section = _Section(layout, noise, painted, spots, strength, seed)
    return Tissue(_develop(section), painted.instances, painted.nuclei["kind"].copy())


def _develop(section: _Section) -> NDArray[np.uint8]:
    """Make the whole picture, tile by tile."""
    width, height = section.layout.size
    rgb = np.empty((height, width, 3), np.uint8)

    def fill(box: Box) -> None:
        rgb[box.y : box.y + box.h, box.x : box.x + box.w] = _tile(section, box)

    for_each(fill, blocks((width, height), _TILE))
    return rgb


def _tile(section: _Section, box: Box) -> NDArray[np.uint8]:
    wide = Box(box.x - _MARGIN, box.y - _MARGIN, box.w + 2 * _MARGIN, box.h + 2 * _MARGIN)
    light = np.exp(-_optical_density(section, wide))
    light = cv2.GaussianBlur(light * _GLASS, (0, 0), _PSF)
    light = light + _SHARPEN * (light - cv2.GaussianBlur(light, (0, 0), 1.6))
    inner = light[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    rng = np.random.default_rng((section.seed, box.x, box.y))
    noisy = inner + _GRAIN * rng.standard_normal(inner.shape, dtype=np.float32)
    return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8)


def _optical_density(section: _Section, box: Box) -> NDArray[np.float32]:
    """Optical density over a box, (h, w, 3)."""
    behind = ground(section.layout, section.noise, section.spots, box)
    cover = _crop(section.painted.cover, box) * np.float32(1 / 255)
    chromatin = _crop(section.painted.chromatin, box) * np.float32(DENSITY_STEP)
    hematoxylin = behind.hematoxylin * (1 - cover) + chromatin
    eosin = behind.eosin * (1 - 0.5 * cover) + 0.06 * cover
    residual = behind.residual * (1 - 0.5 * cover) + 0.06 * chromatin
    waves = ((1700, 21), (1300, 22))
    uneven = [1 + 0.08 * section.noise.plane(box, *wave) for wave in waves]
    stains = [
        hematoxylin * uneven[0] * section.strength[0],
        eosin * uneven[1] * section.strength[1],
        residual,
    ]
    mixed = cv2.transform(np.dstack(stains), RGB_FROM_HED.T.astype(np.float32))
    return np.asarray(mixed, np.float32)


def _crop(plane: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """Cut a box out of a plane, zero outside it."""
    height, width = plane.shape
    x0, y0 = max(box.x, 0), max(box.y, 0)
    x1, y1 = min(box.x + box.w, width), min(box.y + box.h, height)
    out = np.zeros((box.h, box.w), np.float32)
    out[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] = plane[y0:y1, x0:x1]
    return out
