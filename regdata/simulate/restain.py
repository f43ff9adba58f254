"""Restaining of an H&E picture, simulated or real: an IF slide with a known map and truth.

Conventions
-----------
µm are level-0 pixels times mpp, (x, y), corner origin; pixel i has its centre at i + 0.5.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.simulate.emission import EMISSION_STEP, Brightness, Optics, emit
from regdata.simulate.noise import Noise
from regdata.simulate.pull import pull, source
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tiles import blocks, for_each
from regdata.simulate.warp import Warp, elastic, frame, similarity
from regdata.slide import Box

__all__ = ["RestainSettings", "Restained", "restain"]

_BLOCK = 512  # px
_FIELD_UM = 330.0  # side of one camera field of a stitched slide


@dataclass(frozen=True)
class Restained:
    """The IF of a section and the truth behind it.

    Attributes
    ----------
    image
        (2, H, W) uint16.
    channels
        ("DAPI", marker).
    mpp
        µm per pixel.
    he_to_if
        The true map.
    marked
        (N,) whether nucleus i + 1 carries the marker.
    stained
        (N,) whether it also shows it: marked, neither dropped out nor lost.
    """

    image: NDArray[np.uint16]
    channels: tuple[str, str]
    mpp: float
    he_to_if: Warp
    marked: NDArray[np.bool_]
    stained: NDArray[np.bool_]


def restain(
    he_rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    positive: NDArray[np.bool_],
    settings: RestainSettings,
    seed: int,
    he_mpp: float = 0.25,
) -> Restained:
    """Simulate the IF slide of a section.

    Parameters
    ----------
    he_rgb
        (H, W, 3) uint8.
    instances
        (H, W) nuclei 1..N, 0 elsewhere; numbers may be missing.
    positive
        (N,) whether nucleus i + 1 carries the marker.
    settings
        Map, stain and camera.
    seed
        The same seed gives the same slide.
    he_mpp
        µm per pixel of the H&E.

    Returns
    -------
    Restained
        Big enough to hold the whole H&E; outside it is dark.

    Examples
    --------
    >>> he = np.full((64, 64, 3), 240, np.uint8)
    >>> nuclei = np.zeros((64, 64), np.int32)
    >>> nuclei[20:40, 20:40] = 1
    >>> slide = restain(he, nuclei, np.array([True]), RestainSettings(), seed=1)
    >>> slide.channels, slide.image.dtype.name
    (('DAPI', 'CD3'), 'uint16')
    """
    _check(he_rgb, instances, positive, settings)
    rng = np.random.default_rng(seed)
    matrix = similarity(settings.rotation_deg, settings.mirror, settings.scale)
    loose = elastic(matrix, settings.elastic_um, settings.wavelength_um, rng)
    size_um = (instances.shape[1] * he_mpp, instances.shape[0] * he_mpp)
    warp, frame_um = frame(loose, size_um, settings.shift_um, 10 * settings.if_mpp)
    brightness = _brightness(positive, settings, rng)
    optics = Optics(
        math.hypot(settings.psf_um, 0.4 * settings.if_mpp) / he_mpp,
        settings.autofluorescence,
        settings.haze,
        settings.spill,
    )
    light = emit(he_rgb, instances, brightness, optics, Noise.make(rng))
    size = (math.ceil(frame_um[0] / settings.if_mpp), math.ceil(frame_um[1] / settings.if_mpp))
    image = _photograph(light, warp, size, settings, (seed, he_mpp))
    stained = brightness.marker[1:] > 0
    channels = ("DAPI", settings.marker)
    return Restained(image, channels, settings.if_mpp, warp, positive.copy(), stained)


def _check(
    he_rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    positive: NDArray[np.bool_],
    settings: RestainSettings,
) -> None:
    if he_rgb.shape != (*instances.shape, 3):
        raise RegdataError(
            f"expected an H&E of the size of its instances {instances.shape}, "
            f"came {he_rgb.shape}; pass both from one picture"
        )
    if instances.max(initial=0) > len(positive):
        raise RegdataError(
            f"expected one entry in positive per nucleus, came {len(positive)} for "
            f"{instances.max()} nuclei; index it by instance number - 1"
        )
    if min(settings.shift_um) < 0:
        raise RegdataError(f"expected shift_um >= 0, came {settings.shift_um}; turn instead")


def _brightness(
    positive: NDArray[np.bool_], settings: RestainSettings, rng: np.random.Generator
) -> Brightness:
    count = len(positive)
    there = rng.random(count) >= settings.lost
    stained = positive & there & (rng.random(count) >= settings.dropout)
    dapi, marker = np.exp(rng.normal(0, settings.gain_spread, (2, count)))
    deep = rng.random(count) < settings.deep
    values = (dapi * there, marker * stained, deep)
    return Brightness(*(np.concatenate([[0], v]).astype(np.float32) for v in values))


def _photograph(
    light: NDArray[np.uint16],
    warp: Warp,
    size: tuple[int, int],
    settings: RestainSettings,
    seed_and_mpp: tuple[int, float],
) -> NDArray[np.uint16]:
    """Take the camera's picture of `size` (w, h), (2, h, w)."""
    seed, he_mpp = seed_and_mpp
    image = np.empty((2, size[1], size[0]), np.uint16)

    def fill(box: Box) -> None:
        seen = pull(light, source(warp, box, settings.if_mpp, he_mpp)) * EMISSION_STEP
        rng = np.random.default_rng((seed, box.x, box.y))
        there = (slice(None), slice(box.y, box.y + box.h), slice(box.x, box.x + box.w))
        image[there] = _expose(seen.astype(np.float32), box, settings, rng)

    for_each(fill, blocks(size, _BLOCK))
    return image


def _expose(
    light: NDArray[np.float32], box: Box, settings: RestainSettings, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Background, vignetting, shot and read noise, and the camera's scale; (2, h, w)."""
    x, y = (
        (np.arange(start, start + n) + 0.5) * settings.if_mpp / _FIELD_UM % 1 * 2 - 1
        for start, n in ((box.x, box.w), (box.y, box.h))
    )
    loss = (x * x)[None, :] + (y * y)[:, None]
    shade = (1 - settings.vignetting / 2 * loss).astype(np.float32)
    photons = (light + settings.background) * shade * settings.photons
    # at such counts Poisson noise is normal to within a photon, and ten times faster drawn
    sigma = np.sqrt(photons + settings.read_noise**2)
    photons += sigma * rng.standard_normal(photons.shape, dtype=np.float32)
    full = 2**settings.bit_depth - 1
    counts = photons * np.float32(full / 8 / settings.photons) + np.float32(full / 400)
    return np.asarray(np.clip(counts + 0.5, 0, full), np.uint16)
