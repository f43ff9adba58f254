"""Crops of training images, varied as scanners, stains and cuts vary."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from regdata.train.segmentation import appearance as look
from regdata.train.segmentation.crops import Elastic, Sample, random_crop, turn, warp

__all__ = ["AugmentConfig", "Sample", "augment", "random_crop"]

UInt8 = NDArray[np.uint8]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected the lower end first")
    return pair


Chance = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
Positive = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], AfterValidator(_ordered)
]


class AugmentConfig(BaseModel):
    """Probabilities (`*_p`) and ranges of what is varied; the defaults made the built-in model.

    Attributes
    ----------
    scale_p, scale
        Magnification, log-uniform.
    turn_p
        Of a rotation by 0, 90, 180 or 270 degrees.
    mirror_p, flip_p
        Left-right and upside down.
    elastic_p, elastic_shift_px, elastic_smooth_px, elastic_corner_px
        See `regdata.train.segmentation.crops.Elastic`.
    hed_p, hematoxylin, eosin, residual, hed_offset
        Gains of the three densities and a shift of each, with fixed stain vectors.
    own_stain_p, own_stain
        Gains of the two stains as estimated on the crop (Macenko).
    density_p, density
        Gain of the optical density of all channels alike, log-uniform.
    blur_p, blur_sigma
        Gaussian, in pixels.
    sharpen_p, sharpen, sharpen_sigma
        Unsharp mask: how many times its detail is added, and its width in pixels.
    noise_p, noise_std
        Gaussian, in grey values.
    jpeg_p, jpeg_quality
        1 to 100.
    tone_p, tone_gamma, tone_gain
        Gamma, and a gain per channel.
    colour_p, brightness, contrast, saturation, hue
        Factors drawn from 1 - x to 1 + x; hue shifted by at most this share of the circle.
    coarse_p, coarse
        Downscaling factor, before enlarging again.
    superpixel_p, superpixel_replaced, superpixels
        Of about that many patches, the share turned to their mean colour.
    zoom_blur_p, zoom_blur
        Largest enlargement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale_p: Chance = 1.0
    scale: Positive = (0.75, 1.35)
    turn_p: Chance = 1.0
    mirror_p: Chance = 0.5
    flip_p: Chance = 0.0
    elastic_p: Chance = 0.0
    elastic_shift_px: float = Field(2.0, ge=0)
    elastic_smooth_px: float = Field(25.0, gt=0)
    elastic_corner_px: float = Field(15.0, ge=0)
    hed_p: Chance = 0.8
    hematoxylin: Range = (0.7, 1.35)
    eosin: Range = (0.6, 1.5)
    residual: Range = (0.7, 1.3)
    hed_offset: Range = (-0.04, 0.04)
    own_stain_p: Chance = 0.0
    own_stain: Range = (0.75, 1.25)
    density_p: Chance = 0.0
    density: Positive = (0.5, 2.0)
    blur_p: Chance = 0.25
    blur_sigma: Positive = (0.4, 1.6)
    sharpen_p: Chance = 0.0
    sharpen: Range = (0.5, 3.0)
    sharpen_sigma: Positive = (1.0, 2.5)
    noise_p: Chance = 0.2
    noise_std: Range = (2.0, 9.0)
    jpeg_p: Chance = 0.2
    jpeg_quality: Range = (40, 95)
    tone_p: Chance = 0.3
    tone_gamma: Positive = (0.75, 1.3)
    tone_gain: Range = (0.85, 1.1)
    colour_p: Chance = 0.0
    brightness: float = Field(0.25, ge=0, le=1)
    contrast: float = Field(0.25, ge=0, le=1)
    saturation: float = Field(0.1, ge=0, le=1)
    hue: float = Field(0.05, ge=0, le=0.5)
    coarse_p: Chance = 0.0
    coarse: Positive = (0.5, 0.5)
    superpixel_p: Chance = 0.0
    superpixel_replaced: Chance = 0.1
    superpixels: int = Field(200, gt=0)
    zoom_blur_p: Chance = 0.0
    zoom_blur: float = Field(1.05, ge=1)

    @classmethod
    def ours(cls) -> "AugmentConfig":
        """The settings of the built-in model: scale, turns, stain, and at times optics."""
        return cls()

    @classmethod
    def none(cls) -> "AugmentConfig":
        """No variation but the place of the crop."""
        return cls(**{name: 0.0 for name in cls.model_fields if name.endswith("_p")})

    @classmethod
    def cellvit(cls) -> "AugmentConfig":
        """CellViT's published probabilities and ranges (Hörst et al., 2024).

        The variations are this module's own, so they agree in kind, not pixel by pixel: its box
        blur of 3-9 px is a Gaussian of the same width, and its elastic warp of sigma 25 and alpha
        0.5 moves pixels by 0.003 px, so that only the affine part with it remains.
        """
        return cls.none().model_copy(
            update={
                "turn_p": 0.5,
                "mirror_p": 0.5,
                "flip_p": 0.5,
                "coarse_p": 0.15,
                "blur_p": 0.2,
                "blur_sigma": (0.8, 2.6),
                "noise_p": 0.25,
                "noise_std": (0.0, 7.1),  # variance up to 50
                "colour_p": 0.2,
                "superpixel_p": 0.1,
                "zoom_blur_p": 0.1,
                "scale_p": 0.1,
                "scale": (1.0, 2.0),  # 128 to 256 px shown as 256
                "elastic_p": 0.2,
                "elastic_shift_px": 0.0,
            }
        )


_OURS = AugmentConfig()


def augment(
    sample: Sample,
    size: int,
    rng: np.random.Generator,
    config: AugmentConfig = _OURS,
    zoom: float = 1.0,
) -> Sample:
    """A training crop with geometry, then stain, then optics varied.

    Parameters
    ----------
    sample
        An image of any size.
    size
        Side of the crop in pixels.
    rng
        Decides everything.
    config
        What is varied, how often and how much.
    zoom
        Fixed magnification: pixel size of the image / pixel size wanted.
    """
    crop = _vary_geometry(sample, size, rng, config, zoom)
    image = vary_optics(vary_stain(crop.image, rng, config), rng, config)
    return replace(crop, image=image)


def _vary_geometry(
    sample: Sample, size: int, rng: np.random.Generator, config: AugmentConfig, zoom: float
) -> Sample:
    """A crop at a random place, scale, turn, mirror and warp."""
    scale = config.scale if rng.random() < config.scale_p else (1.0, 1.0)
    crop = random_crop(sample, size, rng, scale, zoom)
    if rng.random() < config.elastic_p:
        elastic = Elastic(
            config.elastic_shift_px, config.elastic_smooth_px, config.elastic_corner_px
        )
        crop = warp(crop, elastic.field(size, size, rng))
    quarters = int(rng.integers(4)) if rng.random() < config.turn_p else 0
    return turn(crop, quarters, rng.random() < config.mirror_p, rng.random() < config.flip_p)


def vary_stain(image: UInt8, rng: np.random.Generator, config: AugmentConfig = _OURS) -> UInt8:
    """The image (H, W, 3) uint8 with stains varied: by fixed vectors, its own, both or neither."""
    if rng.random() < config.hed_p:
        ranges = np.array([config.hematoxylin, config.eosin, config.residual])
        gain = rng.uniform(ranges[:, 0], ranges[:, 1]).astype(np.float32)
        offset = rng.uniform(*config.hed_offset, 3).astype(np.float32)
        image = look.vary_hed(image, gain, offset)
    if rng.random() < config.own_stain_p:
        image = look.vary_own_stains(image, rng.uniform(*config.own_stain, 2).astype(np.float32))
    if rng.random() < config.density_p:
        image = look.scale_density(image, float(np.exp(rng.uniform(*np.log(config.density)))))
    return image


def vary_optics(image: UInt8, rng: np.random.Generator, config: AugmentConfig = _OURS) -> UInt8:
    """The image (H, W, 3) uint8 with resolution, blur, noise, colour and compression varied."""
    c = config

    def around(spread: float) -> float:
        return float(rng.uniform(1 - spread, 1 + spread))

    def colour(image: UInt8) -> UInt8:
        factors = around(c.brightness), around(c.contrast), around(c.saturation)
        return look.jitter_colour(image, *factors, float(rng.uniform(-c.hue, c.hue)))

    def tone(image: UInt8) -> UInt8:
        return look.change_tone(image, rng.uniform(*c.tone_gamma), rng.uniform(*c.tone_gain, 3))

    def quality() -> int:
        return round(rng.uniform(*c.jpeg_quality))

    steps: tuple[tuple[float, Callable[[UInt8], UInt8]], ...] = (
        (c.coarse_p, lambda i: look.coarsen(i, rng.uniform(*c.coarse))),
        (c.blur_p, lambda i: look.blur(i, rng.uniform(*c.blur_sigma))),
        (
            c.sharpen_p,
            lambda i: look.sharpen(i, rng.uniform(*c.sharpen), rng.uniform(*c.sharpen_sigma)),
        ),
        (c.zoom_blur_p, lambda i: look.zoom_blur(i, c.zoom_blur)),
        (c.noise_p, lambda i: look.add_noise(i, rng.uniform(*c.noise_std), rng)),
        (c.jpeg_p, lambda i: look.compress(i, quality())),
        (c.tone_p, tone),
        (c.colour_p, colour),
        (
            c.superpixel_p,
            lambda i: look.flatten_patches(i, c.superpixels, c.superpixel_replaced, rng),
        ),
    )
    for chance, step in steps:
        if rng.random() < chance:
            image = step(image)
    return image
