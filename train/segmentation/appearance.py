"""Changes of H&E images as by scanners, stains and files, each a pure function.

Images are (H, W, 3) uint8 RGB, as parameters and as results.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.slides import HED_FROM_RGB, RGB_FROM_HED

UInt8 = NDArray[np.uint8]
Floats = NDArray[np.float32]
DENSITY = (-np.log((np.arange(256) + 1) / 256)).astype(np.float32)
"""(256,) optical density of each grey value."""


def vary_hed(image: UInt8, gain: Floats, offset: Floats) -> UInt8:
    """The image with hematoxylin, eosin and residual density scaled and shifted.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    gain, offset
        (3,) float32, of hematoxylin, eosin and residual density.
    """
    # one matrix for unmixing, scaling and mixing again
    mix = (HED_FROM_RGB * gain) @ RGB_FROM_HED
    return _from_density(DENSITY[image] @ mix.astype(np.float32) + offset @ RGB_FROM_HED)


def _from_density(density: NDArray[np.floating]) -> UInt8:
    values: UInt8 = np.clip(256 * np.exp(-density.astype(np.float32)) - 1, 0, 255).astype(np.uint8)
    return values


def own_stains(image: UInt8) -> Floats | None:
    """The two stain vectors of an image, by the method of Macenko et al. (2009).

    Returns
    -------
    array or None
        (2, 3) unit vectors of optical density, the bluer one (hematoxylin) first; None where
        there is too little tissue.
    """
    density = DENSITY[image[::4, ::4].reshape(-1, 3)]
    density = density[density.min(1) > 0.15]
    if len(density) < 100:
        return None
    _, vectors = np.linalg.eigh(np.cov(density.T))
    plane = vectors[:, :0:-1] * np.where(vectors[:, :0:-1].sum(0) < 0, -1, 1)
    angles = np.arctan2(*(density @ plane).T[::-1])
    ends = np.percentile(angles, (1, 99))
    stains = np.stack([np.cos(ends), np.sin(ends)], 1) @ plane.T
    stains = stains[np.argsort(-stains[:, 0])]  # hematoxylin absorbs more red than eosin
    return stains.astype(np.float32) if abs(ends[1] - ends[0]) > 0.05 else None


def vary_own_stains(image: UInt8, gain: Floats) -> UInt8:
    """The image with its own two stains scaled and the rest of the density kept.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    gain
        (2,) float32, of hematoxylin and eosin.
    """
    stains = own_stains(image)
    if stains is None:
        return image
    unmix = np.linalg.pinv(stains)  # (3, 2)
    mix = np.eye(3) + (unmix * (gain - 1)) @ stains
    return _from_density(DENSITY[image] @ mix.astype(np.float32))


def scale_density(image: UInt8, gain: float) -> UInt8:
    """The image with optical density times `gain`: a thicker section, or longer staining."""
    table = _from_density(DENSITY * gain)
    return table[image]


def sharpen(image: UInt8, amount: float, sigma: float) -> UInt8:
    """The image sharpened by an unsharp mask of width `sigma` pixels, as scanners do."""
    values = image.astype(np.float32)
    detail = values - cv2.GaussianBlur(values, (0, 0), sigma)
    return np.clip(np.rint(values + amount * detail), 0, 255).astype(np.uint8)


def blur(image: UInt8, sigma: float) -> UInt8:
    """The image blurred by a Gaussian of `sigma` pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)


def add_noise(image: UInt8, std: float, rng: np.random.Generator) -> UInt8:
    """The image with Gaussian noise, independent per channel; `std` in grey values."""
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(std)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def compress(image: UInt8, quality: int) -> UInt8:
    """The image after JPEG of a quality (1-100), with 4:2:0 chroma as scanners write it."""
    # OpenCV takes RGB for BGR here; luma must weigh the right channels
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(decoded, dtype=np.uint8)[..., ::-1])


def change_tone(image: UInt8, gamma: float, gain: NDArray[np.floating]) -> UInt8:
    """The image with each channel to the power `gamma`, times its gain (3,); white is 1."""
    tone = (np.arange(256) / 255.0) ** gamma * np.reshape(gain, (3, 1))
    table = np.clip(255 * tone, 0, 255).astype(np.uint8)
    return np.stack([table[c][image[..., c]] for c in range(3)], -1)


def jitter_colour(
    image: UInt8, brightness: float, contrast: float, saturation: float, hue: float
) -> UInt8:
    """The image with brightness, contrast, saturation and hue changed.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    brightness, contrast, saturation
        Factors, 1 = unchanged; contrast is about the mean grey.
    hue
        In turns of the colour circle, 0 = unchanged.
    """
    values = image.astype(np.float32) * brightness
    grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
    values = (values - grey.mean()) * contrast + grey.mean()
    values = np.clip(values, 0, 255).astype(np.float32) / 255
    hsv = cv2.cvtColor(values, cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + 360 * hue) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
    turned = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)
    return np.rint(turned * 255).astype(np.uint8)


def coarsen(image: UInt8, factor: float) -> UInt8:
    """The image shrunk to `factor` of its sides and enlarged again: a lower magnification."""
    height, width = image.shape[:2]
    small = max(round(width * factor), 1), max(round(height * factor), 1)
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    grown = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    return grown.astype(np.uint8, copy=False)


def zoom_blur(image: UInt8, zoom: float) -> UInt8:
    """The mean of five copies of the image, enlarged about its centre by 1 to `zoom`."""
    height, width = image.shape[:2]
    mean = np.zeros(image.shape, np.float32)
    for factor in np.linspace(1, zoom, 5):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, factor)
        mean += cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.rint(mean / 5).astype(np.uint8)


def flatten_patches(image: UInt8, count: int, replaced: float, rng: np.random.Generator) -> UInt8:
    """The image with some of about `count` small patches turned to their mean colour.

    The patches are the Voronoi cells of random points: superpixels without the search for edges.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    count
        Number of patches.
    replaced
        Probability of each to be flattened.
    rng
        Places the points and chooses the patches.
    """
    height, width = image.shape[:2]
    away = np.ones((height, width), np.uint8)
    away[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, cells = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    chosen = rng.random(cells.max() + 1) < replaced
    inside = chosen[cells]
    out, ids = image.copy(), cells[inside]
    sizes = np.maximum(np.bincount(ids, minlength=len(chosen)), 1)
    for c in range(3):
        mean = np.bincount(ids, image[inside, c], len(chosen)) / sizes
        out[inside, c] = np.rint(mean[ids])
    return out
