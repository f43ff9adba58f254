"""The camera's picture of the light of a section: pulled into the IF frame, spoiled and exposed.

Conventions
-----------
Boxes are IF pixels, (x, y), corner origin. Arrays (C, h, w): DAPI, marker, perhaps
autofluorescence. Every block draws its noise from its own place, so threads change nothing.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.simulate.emission import EMISSION_STEP
from regdata.simulate.pull import pulled, source
from regdata.simulate.settings import AUTOFLUORESCENCE_EXPOSURE, RestainSettings
from regdata.simulate.spoil import DEFOCUS_UM, Spoils
from regdata.simulate.tiles import blocks, for_each
from regdata.simulate.warp import Warp
from regdata.slides import Box

_BLOCK = 512  # px
_FIELD_UM = 330.0  # side of one camera field of a stitched slide
_MARKER = 1


def photograph(
    light: NDArray[np.uint16],
    warp_and_mpp: tuple[Warp, float],
    size: tuple[int, int],
    settings: RestainSettings,
    spoils: Spoils,
    seed: int,
) -> NDArray[np.uint16]:
    """The camera's picture of a section, (C, h, w) uint16.

    Parameters
    ----------
    light
        (C, H, W) uint16 in the H&E frame, in steps of `EMISSION_STEP`.
    warp_and_mpp
        H&E to IF, and µm per pixel of the H&E.
    size
        (w, h) of the picture.
    settings
        Stain and camera.
    spoils
        Where the section is folded or out of focus.
    seed
        The same seed gives the same noise.

    Returns
    -------
    array
        (C, h, w) uint16.
    """
    warp, he_mpp = warp_and_mpp
    image = np.empty((len(light), size[1], size[0]), np.uint16)

    def fill(box: Box) -> None:
        xy = source(warp, box, settings.if_mpp, he_mpp)
        picture = _in_focus(light, xy, box, warp_and_mpp, settings, spoils)
        blurred = spoils.blurred_pixels(box, settings.if_mpp)
        if blurred.any():
            soft = _defocused(light, box, warp_and_mpp, settings, spoils)
            picture = np.where(blurred, soft, picture)
        if settings.drift != 1:
            down = np.clip(xy[1] / light.shape[1], 0, 1)
            exposure = np.power(np.float32(settings.drift), 0.5 - down)
        else:
            exposure = np.ones((1, 1), np.float32)
        there = (slice(None), slice(box.y, box.y + box.h), slice(box.x, box.x + box.w))
        image[there] = _expose(picture.astype(np.float32), exposure, box, settings, seed)

    for_each(fill, blocks(size, _BLOCK))
    return image


def _in_focus(
    light: NDArray[np.uint16],
    xy: NDArray[np.float32],
    box: Box,
    warp_and_mpp: tuple[Warp, float],
    settings: RestainSettings,
    spoils: Spoils,
) -> NDArray[np.float32]:
    """Light at the pixels of a box that come from `xy`, that of folded tissue added."""
    warp, he_mpp = warp_and_mpp
    planes = pulled(light, xy)
    for fold, inside in spoils.folded_pixels(box, settings.if_mpp):
        x, y = (round(float(shift) / settings.if_mpp) for shift in fold.shift_um)
        beside = Box(box.x + x, box.y + y, box.w, box.h)
        planes += inside * pulled(light, source(warp, beside, settings.if_mpp, he_mpp))
    return np.asarray(planes * EMISSION_STEP, np.float32)


def _defocused(
    light: NDArray[np.uint16],
    box: Box,
    warp_and_mpp: tuple[Warp, float],
    settings: RestainSettings,
    spoils: Spoils,
) -> NDArray[np.float32]:
    """Light at the pixels of a box as it looks out of focus."""
    warp, he_mpp = warp_and_mpp
    sigma = DEFOCUS_UM / settings.if_mpp
    margin = math.ceil(4 * sigma)
    wide = Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin)
    xy = source(warp, wide, settings.if_mpp, he_mpp)
    sharp = _in_focus(light, xy, wide, warp_and_mpp, settings, spoils)
    soft = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in sharp])
    return soft[:, margin:-margin, margin:-margin]


def _expose(
    light: NDArray[np.float32],
    exposure: NDArray[np.float32],
    box: Box,
    settings: RestainSettings,
    seed: int,
) -> NDArray[np.uint16]:
    """Background, vignetting, shot and read noise, and the camera's scale; (C, h, w)."""
    rng = np.random.default_rng((seed, box.x, box.y))
    x, y = (
        (np.arange(start, start + n) + 0.5) * settings.if_mpp / _FIELD_UM % 1 * 2 - 1
        for start, n in ((box.x, box.w), (box.y, box.h))
    )
    loss = (x * x)[None, :] + (y * y)[:, None]
    shade = (1 - settings.vignetting / 2 * loss).astype(np.float32)
    glass = np.full((len(light), 1, 1), settings.background, np.float32)
    glass[2:] *= AUTOFLUORESCENCE_EXPOSURE  # `light` already is, as it was emitted
    photons = (light + glass) * shade * settings.photons
    photons[_MARKER] *= exposure
    # at such counts Poisson noise is normal to within a photon, and ten times faster drawn
    sigma = np.sqrt(photons + settings.read_noise**2)
    photons += sigma * rng.standard_normal(photons.shape, dtype=np.float32)
    full = 2**settings.bit_depth - 1
    scale = full / 8 / settings.photons * settings.saturate
    counts = photons * np.float32(scale) + np.float32(full / 400)
    if settings.hot:
        own = np.random.default_rng((seed, box.x, box.y, 2))
        too_bright = own.random(counts.shape, dtype=np.float32) < settings.hot
        counts[too_bright] += own.uniform(0.3, 1.0, int(too_bright.sum())) * full
    return np.asarray(np.clip(counts + 0.5, 0, full), np.uint16)
