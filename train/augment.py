"""Crops of training images, varied as scanners, stains and cuts vary."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.stain import HED_FROM_RGB, RGB_FROM_HED

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One annotated image or crop.

    Attributes
    ----------
    image
        (H, W, 3) uint8 RGB.
    instances
        (H, W) int32, 0 = background.
    types
        (H, W) uint8, 0 = no class; all 0 when the image has none.
    """

    image: UInt8
    instances: NDArray[np.int32]
    types: UInt8


def random_crop(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """A square crop of `size` pixels at a random place, scale (0.75-1.35), turn and mirror."""
    scale = float(np.exp(rng.uniform(np.log(0.75), np.log(1.35))))
    height, width = sample.instances.shape
    side = min(round(size / scale), height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    cut = np.s_[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    image = cv2.resize(sample.image[cut], (size, size), interpolation=method)
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(array: NDArray[np.generic]) -> NDArray[np.generic]:
        array = np.rot90(array, turns)
        return np.ascontiguousarray(array[:, ::-1] if mirror else array)

    def nearest(labels: NDArray[np.generic]) -> NDArray[np.generic]:
        small = labels[cut].astype(np.float32)  # exact for the ids that occur
        return cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)

    return Sample(
        turn(image).astype(np.uint8, copy=False),
        turn(nearest(sample.instances)).astype(np.int32),
        turn(nearest(sample.types)).astype(np.uint8),
    )


def vary_stain(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Scale and shift the hematoxylin, eosin and residual density of an image."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    stains = density @ HED_FROM_RGB.astype(np.float32)
    gain = rng.uniform((0.7, 0.6, 0.7), (1.35, 1.5, 1.3)).astype(np.float32)
    offset = rng.uniform(-0.04, 0.04, 3).astype(np.float32)
    density = (stains * gain + offset) @ RGB_FROM_HED.astype(np.float32)
    varied: UInt8 = np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)
    return varied


def vary_optics(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Blur, noise, JPEG and tone, each now and then."""
    if rng.random() < 0.25:
        sigma = float(rng.uniform(0.4, 1.6))
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(2, 9), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = int(rng.integers(40, 95))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    if rng.random() < 0.3:
        tone = np.arange(256) / 255.0
        tone = tone ** rng.uniform(0.75, 1.3) * rng.uniform(0.85, 1.1, (3, 1))
        table = np.clip(255 * tone, 0, 255).astype(np.uint8)
        image = np.stack([table[c][image[..., c]] for c in range(3)], -1)
    return image


def augment(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """A training crop: geometry, then stain (four times in five), then optics."""
    crop = random_crop(sample, size, rng)
    image = vary_stain(crop.image, rng) if rng.random() < 0.8 else crop.image
    return Sample(vary_optics(image, rng), crop.instances, crop.types)
