"""What a restained section would emit: DAPI and one nuclear marker, in the H&E frame.

Conventions
-----------
Arrays (H, W) in the H&E frame. Emission 1 is a nucleus of typical brightness.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.simulate.noise import Noise, Plane
from regdata.simulate.tiles import blocks, for_each
from regdata.slides import HED_FROM_RGB, Box

EMISSION_STEP = 1 / 8192
"""Emission of one step of the uint16 planes `emit` returns."""
_TILE = 1024


@dataclass(frozen=True)
class Brightness:
    """How brightly each nucleus shines, entry 0 for no nucleus; (N + 1,) float32 each.

    Attributes
    ----------
    dapi
        0 where the nucleus was lost.
    marker
        0 where it is not stained.
    deep
        1 for nuclei out of focus.
    """

    dapi: NDArray[np.float32]
    marker: NDArray[np.float32]
    deep: NDArray[np.float32]


@dataclass(frozen=True)
class Optics:
    """What lies between nucleus and camera; emission units and H&E pixels.

    Attributes
    ----------
    psf_px
        Blur of what is in focus.
    autofluorescence
        Emission of the matrix at eosin density 1.
    haze
        Share of the light of the whole neighbourhood that is added.
    spill
        Share of the marker found in the cytoplasm around.
    rise
        Log of the factor by which autofluorescence grows from one column to the next;
        `autofluorescence` holds at the left border.
    separate
        Exposure of a third plane that shows autofluorescence only, over that of the marker; 0
        for no such plane.
    """

    psf_px: float
    autofluorescence: float
    haze: float
    spill: float
    rise: float = 0.0
    separate: float = 0.0


def emit(
    he_rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    brightness: Brightness,
    optics: Optics,
    noise: Noise,
) -> NDArray[np.uint16]:
    """The light that a restained section emits, (2 or 3, H, W) uint16 in the H&E frame.

    Returns
    -------
    array
        (2 or 3, H, W) DAPI, marker and perhaps autofluorescence, uint16 in steps of
        `EMISSION_STEP`.
    """
    height, width = instances.shape
    out = np.empty((3 if optics.separate else 2, height, width), np.uint16)
    margin = int(np.ceil(3 * _wide(optics))) + 4

    def fill(box: Box) -> None:
        y0, x0 = max(0, box.y - margin), max(0, box.x - margin)
        there = (slice(y0, box.y + box.h + margin), slice(x0, box.x + box.w + margin))
        crop = instances[there]
        wide = Box(x0, y0, crop.shape[1], crop.shape[0])
        light = _tile(he_rgb[there], crop, brightness, optics, noise, wide)
        inner = light[:, box.y - y0 :, box.x - x0 :][:, : box.h, : box.w]
        steps = np.clip(inner / EMISSION_STEP, 0, 65535)
        out[:, box.y : box.y + box.h, box.x : box.x + box.w] = steps

    for_each(fill, blocks((width, height), _TILE))
    return out


def _wide(optics: Optics) -> float:
    """Blur of the haze, px."""
    return 9 * optics.psf_px


def _tile(
    rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    brightness: Brightness,
    optics: Optics,
    noise: Noise,
    box: Box,
) -> Plane:
    """(2 or 3, h, w) light of one tile."""
    stain = _densities(rgb)
    nuclear = (instances > 0).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(nuclear, (0, 0), 3.0), np.float32)
    # matrix between nuclei keeps some hematoxylin: unannotated nuclei, mucus, RNA
    stray = np.minimum(np.maximum(stain[..., 0] - 0.45, 0), 1) * (1 - nuclear)
    dapi = nuclear * _chromatin(stain[..., 0], soft, noise, box)
    dapi = dapi * brightness.dapi[instances] + 0.25 * stray
    marker = nuclear * (0.85 + 0.15 * noise.plane(box, 13, 3) + 0.08 * noise.plane(box, 5, 1))
    marker = marker * brightness.marker[instances]
    marker += optics.spill * cv2.GaussianBlur(marker, (0, 0), 5.0) * (1 - nuclear)
    marker += 0.3 * np.maximum(noise.plane(box, 6, 1) - 2.9, 0)  # specks of stray antibody
    deep = brightness.deep[instances]
    matrix = optics.autofluorescence * np.clip(stain[..., 1], 0, 1.2)
    if optics.rise:
        columns = np.arange(box.x, box.x + box.w) + 0.5
        matrix = matrix * np.exp(optics.rise * columns).astype(np.float32)
    planes = [_focus(dapi, deep, optics) + matrix, _focus(marker, deep, optics) + 0.8 * matrix]
    if optics.separate:
        planes.append(optics.separate * 0.8 * matrix)
    return np.asarray(np.maximum(np.stack(planes), 0), np.float32)


def _densities(rgb: NDArray[np.uint8]) -> Plane:
    """Hematoxylin and eosin densities, (h, w, 2)."""
    table = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
    mixed = cv2.transform(cv2.LUT(rgb, table), HED_FROM_RGB[:, :2].T.astype(np.float32))
    return np.asarray(np.maximum(mixed, 0), np.float32)


def _chromatin(hematoxylin: Plane, soft: Plane, noise: Noise, box: Box) -> Plane:
    """Texture inside nuclei: partly what hematoxylin shows, partly DAPI's own, a bright rim."""
    own = 0.11 * noise.plane(box, 15, 0) + 0.08 * noise.plane(box, 6, 2)
    stained = 0.22 * np.minimum(hematoxylin, 1.5)
    return np.asarray(np.maximum(0.5 + own + stained + 0.65 * (1 - soft), 0.1), np.float32)


def _focus(light: Plane, deep: Plane, optics: Optics) -> Plane:
    """In-focus light, the light of deep nuclei blurred more, and a haze of everything."""
    sharp = cv2.GaussianBlur(light * (1 - deep), (0, 0), optics.psf_px)
    below = cv2.GaussianBlur(light * deep, (0, 0), 3 * optics.psf_px)
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), _wide(optics) / 4)
    haze = cv2.resize(small, light.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(sharp + 0.75 * below + optics.haze * haze, np.float32)
