"""Periodic noise textures, sampled at any place and wavelength, the same from every tile.

Conventions
-----------
Boxes and positions are in pixels of the whole picture, (x, y), corner origin; the centre of
pixel i is i + 0.5. Because a texture repeats, a tile needs nothing but its own box.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.slides import Box

Plane = NDArray[np.floating[Any]]
"""(H, W) float32; typed loosely because NumPy's types lose the precision in arithmetic."""
_SIDE = 512
_WAVE = 12.0  # texels in one wavelength of a texture blurred by 2.5 texels
_COUNT = 4


@dataclass(frozen=True)
class Noise:
    """Smooth noise of mean 0 and standard deviation 1.

    Attributes
    ----------
    textures
        (K, 512, 512) float32, periodic. A layer takes texture `layer % K` from a place of its
        own, so layers look independent.
    """

    textures: NDArray[np.float32]

    @classmethod
    def make(cls, rng: np.random.Generator) -> "Noise":
        """Draw the textures."""
        return cls(np.stack([grain(rng, 2.5) for _ in range(_COUNT)]))

    def plane(self, box: Box, wavelength: float, layer: int) -> Plane:
        """Noise over a box, (box.h, box.w) float32.

        Parameters
        ----------
        box
            In pixels.
        wavelength
            Pixels from one crest to the next, about.
        layer
            Which noise: the same layer and wavelength give the same pattern.

        Returns
        -------
        array
            (box.h, box.w) float32.
        """
        scale = _WAVE / wavelength
        matrix = np.zeros((2, 3))
        matrix[:, :2] = np.eye(2) * scale
        matrix[:, 2] = (np.array([box.x, box.y]) + 0.5) * scale + _origin(layer)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        texture = self.textures[layer % len(self.textures)]
        sampled = cv2.warpAffine(
            texture, matrix, (box.w, box.h), flags=flags, borderMode=cv2.BORDER_WRAP
        )
        return np.asarray(sampled, np.float32)

    def at(self, u: Plane, v: Plane, layer: int) -> Plane:
        """Noise at positions given in wavelengths; (H, W) float32 each."""
        x, y = _origin(layer)
        texture = self.textures[layer % len(self.textures)]
        columns = np.mod(u * np.float32(_WAVE) + np.float32(x), np.float32(_SIDE))
        rows = np.mod(v * np.float32(_WAVE) + np.float32(y), np.float32(_SIDE))
        sampled = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(sampled, np.float32)


def grain(rng: np.random.Generator, sigma: float, side: int = _SIDE) -> Plane:
    """One periodic texture: white noise blurred by `sigma` texels, (side, side), std 1."""
    white = rng.standard_normal((side, side), dtype=np.float32)
    row, column = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (row**2 + column**2))
    smooth = np.fft.irfft2(np.fft.rfft2(white) * blur, s=(side, side))
    smooth -= smooth.mean()
    return np.asarray(smooth / smooth.std(), np.float32)


def ramp(values: Plane, low: float | Plane, high: float | Plane) -> Plane:
    """A smooth step of an array: 0 below `low`, 1 above `high`; falls when low > high."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _origin(layer: int) -> tuple[float, float]:
    """Pick a place in the texture for each layer (golden-ratio steps never meet again)."""
    return (layer * 316.4) % _SIDE, (layer * 195.6 + 77) % _SIDE
