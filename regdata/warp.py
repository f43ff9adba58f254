"""A registered slide is itself a slide: the IF slide seen in the frame of the H&E slide.

Conventions
-----------
`he_to_if` maps µm on the H&E slide to µm on the IF slide; images are pulled with it. Points are
(x, y) with the corner origin: the centre of pixel i lies at (i + 0.5) pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.resample import Pixels
from regdata.slide import Box, Slide
from regdata.transform import Points, Transform

_BLOCK = 1024  # pixels a side warped at once; cv2.remap takes no more than 32767
_MARGIN = 6  # pixels read around a block, for the kernels of blur and interpolation


def warped(if_slide: Slide, he_slide: Slide, he_to_if: Transform) -> Slide:
    """See the IF slide in the frame of the H&E slide.

    Parameters
    ----------
    if_slide, he_slide
        Both with a known mpp.
    he_to_if
        µm on the H&E slide to µm on the IF slide.

    Returns
    -------
    Slide
        The sizes, levels and mpp of the H&E slide with the channels and the dtype of the IF
        slide. Nothing is computed before it is read, and then in blocks, so memory is bounded
        by what is asked for. Interpolated cubically; averaged first where an H&E pixel of the
        level read is larger than an IF pixel; 0 where the IF slide ends.
    """
    view = _View(if_slide, he_slide, he_to_if)
    return replace(if_slide, sizes=he_slide.sizes, mpp=he_slide.mpp, pixels=view.pixels)


@dataclass(frozen=True)
class _View:
    if_slide: Slide
    he_slide: Slide
    he_to_if: Transform

    def pixels(self, level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        """Read a box of a level of the H&E frame; a `PixelReader`."""
        out = np.zeros((len(channels), box.h, box.w), self.if_slide.dtype)
        for block in _blocks(box):
            x, y = block.x - box.x, block.y - box.y
            out[:, y : y + block.h, x : x + block.w] = self._block(level, block, channels)
        return out

    def _block(self, level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        downsample = self.he_slide.downsamples[level]
        xy = self._if_points(downsample, box)
        pitch = self._pitch(downsample)
        step = _read_step(self.if_slide, pitch)
        source, corner = _around(self.if_slide, xy, step, channels)
        if source is None:
            return np.zeros((len(channels), box.h, box.w), self.if_slide.dtype)
        at = ((xy - corner) / step - 0.5).astype(np.float32)  # index of a pixel's centre
        outside = np.any((xy < 0) | (xy >= np.array(self.if_slide.size)), axis=2)
        planes = [_pull(plane, at, pitch / step, outside) for plane in source]
        return np.stack(planes).astype(self.if_slide.dtype)

    def _if_points(self, downsample: float, box: Box) -> Points:
        """Where the centres of the box's pixels lie on the IF slide, (h, w, 2) level-0 pixels."""
        um = downsample * self.he_slide.known_mpp("--he-mpp")
        x, y = np.meshgrid(np.arange(box.w) + box.x + 0.5, np.arange(box.h) + box.y + 0.5)
        on_if = self.he_to_if.points(np.stack([x, y], axis=2) * um)
        return on_if / self.if_slide.known_mpp("--if-mpp")

    def _pitch(self, downsample: float) -> float:
        """IF pixels per H&E pixel of a level, by the mean scale of the transform."""
        scale = math.sqrt(abs(float(np.linalg.det(self.he_to_if.matrix[:2, :2]))))
        he_um = downsample * self.he_slide.known_mpp("--he-mpp")
        return he_um * scale / self.if_slide.known_mpp("--if-mpp")


def _read_step(if_slide: Slide, pitch: float) -> float:
    """Level-0 IF pixels per pixel read: a whole multiple of a level, not above `pitch`.

    On such a lattice a pixel's value does not depend on the region it is read with, so blocks
    fit together.
    """
    level_step = if_slide.downsamples[if_slide.best_level(max(pitch, 1.0))]
    return level_step * max(1, math.floor(pitch / level_step + 1e-6))


def _around(
    if_slide: Slide, xy: Points, step: float, channels: tuple[int, ...]
) -> tuple[Pixels | None, NDArray[np.float64]]:
    """Read the region the points lie in, and its top-left corner in level-0 IF pixels."""
    inside = np.maximum(1, np.floor(np.array(if_slide.size) / step))
    low = np.floor(xy.min(axis=(0, 1)) / step) - _MARGIN
    high = np.ceil(xy.max(axis=(0, 1)) / step) + _MARGIN
    first, last = np.maximum(low, 0), np.minimum(high, inside)
    if (first >= last).any():
        return None, first
    corner = first * step
    size = (int(last[0] - first[0]), int(last[1] - first[1]))
    return if_slide.read((corner[0], corner[1]), size, step, channels), corner


def _pull(plane: Pixels, at: NDArray[np.float32], rest: float, outside: NDArray[Any]) -> Pixels:
    """Interpolate one plane at (h, w, 2) indices; `rest` is the pitch left to average over."""
    image = plane if plane.dtype in (np.uint8, np.uint16, np.float32) else _as_float(plane)
    if rest > 1.01:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 * math.sqrt(rest**2 - 1)))
    x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    pulled: Pixels = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if np.issubdtype(plane.dtype, np.integer) and pulled.dtype != plane.dtype:
        limits = np.iinfo(plane.dtype)
        pulled = np.clip(np.round(pulled), limits.min, limits.max)
    return np.where(outside, 0, pulled)


def _as_float(plane: Pixels) -> Pixels:
    """What OpenCV cannot interpolate as it is."""
    return plane.astype(np.float64)


def _blocks(box: Box) -> Iterator[Box]:
    for y in range(box.y, box.y + box.h, _BLOCK):
        for x in range(box.x, box.x + box.w, _BLOCK):
            w = min(_BLOCK, box.x + box.w - x)
            yield Box(x, y, w, min(_BLOCK, box.y + box.h - y))
