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
from regdata.simulate.camera import photograph
from regdata.simulate.emission import Brightness, Optics, emit
from regdata.simulate.noise import Noise
from regdata.simulate.settings import AUTOFLUORESCENCE_EXPOSURE, RestainSettings
from regdata.simulate.spoil import Spoils, draw_spoils, nuclear_centres
from regdata.simulate.warp import Warp, elastic, frame, similarity

__all__ = ["RestainSettings", "Restained", "restain"]


@dataclass(frozen=True, kw_only=True)
class Restained:
    """The IF of a section and the truth behind it.

    Attributes
    ----------
    image
        (2, H, W) uint16; (3, H, W) with an autofluorescence channel.
    channels
        ("DAPI", marker), perhaps "AF".
    mpp
        µm per pixel.
    he_to_if
        The true map.
    marked
        (N,) whether nucleus i + 1 carries the marker.
    stained
        (N,) whether it also shows it: marked, neither dropped out nor lost.
    spoiled
        (N,) whether its centre lies in a fold or out of focus.
    """

    image: NDArray[np.uint16]
    channels: tuple[str, ...]
    mpp: float
    he_to_if: Warp
    marked: NDArray[np.bool_]
    stained: NDArray[np.bool_]
    spoiled: NDArray[np.bool_]


def restain(
    he_rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    positive: NDArray[np.bool_],
    settings: RestainSettings,
    seed: int,
    he_mpp: float = 0.25,
) -> Restained:
    """A simulated IF slide of a section, with its true map and stained nuclei.

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
    light = emit(he_rgb, instances, brightness, _optics(settings, he_rgb, he_mpp), Noise.make(rng))
    size = (math.ceil(frame_um[0] / settings.if_mpp), math.ceil(frame_um[1] / settings.if_mpp))
    spoils = draw_spoils(frame_um, settings, np.random.default_rng((seed, 0, 0, 1)))
    image = photograph(light, (warp, he_mpp), size, settings, spoils, seed)
    stained = brightness.marker[1:] > 0
    spoiled = _spoiled(instances, len(positive), spoils, warp, he_mpp)
    channels = ("DAPI", settings.marker, "AF")[: len(image)]
    return Restained(
        image=image,
        channels=channels,
        mpp=settings.if_mpp,
        he_to_if=warp,
        marked=positive.copy(),
        stained=stained,
        spoiled=spoiled,
    )


def _optics(settings: RestainSettings, he_rgb: NDArray[np.uint8], he_mpp: float) -> Optics:
    gradient = settings.autofluorescence_gradient
    return Optics(
        math.hypot(settings.psf_um, 0.4 * settings.if_mpp) / he_mpp,
        settings.autofluorescence / math.sqrt(gradient),
        settings.haze,
        settings.spill,
        math.log(gradient) / he_rgb.shape[1],
        AUTOFLUORESCENCE_EXPOSURE if settings.autofluorescence_channel else 0.0,
    )


def _spoiled(
    instances: NDArray[np.int32], count: int, spoils: Spoils, warp: Warp, he_mpp: float
) -> NDArray[np.bool_]:
    """(N,) nuclei whose centre lies where the picture is no good; absent ones do not."""
    out = np.zeros(count, np.bool_)
    if spoils.any():
        ids, centres = nuclear_centres(instances)
        out[ids - 1] = spoils.at(warp.points(centres * he_mpp))
    return out


def _check(
    he_rgb: NDArray[np.uint8],
    instances: NDArray[np.int32],
    positive: NDArray[np.bool_],
    settings: RestainSettings,
) -> None:
    if he_rgb.shape != (*instances.shape, 3):
        raise RegdataError(
            f"expected an H&E of the size of its instances {instances.shape}, "
            f"got {he_rgb.shape}; pass both from one picture"
        )
    if instances.max(initial=0) > len(positive):
        raise RegdataError(
            f"expected one entry in positive per nucleus, got {len(positive)} for "
            f"{instances.max()} nuclei; index it by instance number - 1"
        )
    if min(settings.shift_um) < 0:
        raise RegdataError(f"expected shift_um >= 0, got {settings.shift_um}; turn instead")
    for name in ("autofluorescence_gradient", "drift", "saturate"):
        if not getattr(settings, name) > 0:
            raise RegdataError(f"expected {name} > 0, got {getattr(settings, name)}; 1 is none")
    if settings.folds < 0:
        raise RegdataError(f"expected folds >= 0, got {settings.folds}; 0 is none")
    for name in ("blurred", "hot"):
        if not 0 <= getattr(settings, name) <= 1:
            raise RegdataError(f"expected a share 0..1 as {name}, got {getattr(settings, name)}")


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
