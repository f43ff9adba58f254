"""A registered slide is itself a slide: the IF slide in the frame of the H&E slide.

Conventions
-----------
`he_to_if` maps µm on the H&E slide to µm on the IF slide; images are pulled with it. Points are
(x, y) with the corner origin: the centre of pixel i lies at (i + 0.5) pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from regdata.arrays import Points
from regdata.slides import (
    Box,
    Pixels,
    Slide,
    Window,
    blurred_to_pitch,
    pixel_centres,
    pull_exactly,
)
from regdata.transforms.nodes import between_nodes
from regdata.transforms.transform import Transform

_BLOCK = 1024  # pixels a side warped at once
_LEAST = 64  # a block this small is not divided, however much it needs
_MOST = 2**24  # pixels of one channel read at once; a block that needs more is divided
_MARGIN = 6  # pixels read around a block, for the kernels of blur and interpolation
_NODE_UM = 1.0  # the transform is evaluated this far apart; fields have knots every 8 µm or more
_FINEST = 2.0**20  # parts of a pixel that places are rounded to
_PROBES = 16  # places a side at which the scale of the transform is taken


def warped(
    if_slide: Slide, he_slide: Slide, he_to_if: Transform, mpp: float | None = None
) -> Slide:
    """The IF slide in the frame of the H&E slide, as a slide of its own.

    Parameters
    ----------
    if_slide, he_slide
        Both with a known mpp.
    he_to_if
        µm on the H&E slide to µm on the IF slide.
    mpp
        µm per pixel to see it at, in one level; as the H&E slide by default.

    Returns
    -------
    Slide
        The sizes, levels and mpp of the H&E slide with the channels and the dtype of the IF
        slide. Nothing is computed before it is read, and then in blocks, so memory is bounded
        by what is asked for. Interpolated cubically; averaged first where an H&E pixel of the
        level read is larger than an IF pixel; black (an RGB slide: white) where the IF slide
        ends. A pixel's value does not depend on the region it is read with.

    Raises
    ------
    RegdataError
        A slide does not say its pixel size.
    """
    frame = he_slide if mpp is None else _frame(he_slide, mpp)
    view = _View(if_slide, frame, he_to_if, _pitch(if_slide, frame, he_to_if))
    return replace(if_slide, sizes=frame.sizes, mpp=frame.mpp, pixels=view.pixels)


def _frame(he_slide: Slide, mpp: float) -> Slide:
    """The H&E slide as if scanned at another pixel size; only its frame, not to be read."""
    scale = he_slide.known_mpp("he_mpp") / mpp
    width, height = (max(1, math.ceil(side * scale - 1e-6)) for side in he_slide.size)
    return replace(he_slide, sizes=((width, height),), mpp=mpp)


@dataclass(frozen=True)
class _View:
    if_slide: Slide
    he_slide: Slide
    he_to_if: Transform
    pitch: float  # level-0 IF pixels per level-0 H&E pixel

    def pixels(self, level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        """Read a box of a level of the H&E frame; a `PixelReader`."""
        out = np.empty((len(channels), box.h, box.w), self.if_slide.dtype)
        for block in _blocks(box, _BLOCK):
            self._fill(out, box, level, block, channels)
        return out

    def _fill(
        self, out: Pixels, box: Box, level: int, block: Box, channels: tuple[int, ...]
    ) -> None:
        """Put the pixels of `block` where they belong in those of `box`."""
        downsample = self.he_slide.downsamples[level]
        pitch = downsample * self.pitch
        step = _read_step(self.if_slide, pitch)
        at = self._if_points(downsample, block) / step
        source = _around(at, self.if_slide.size, step)
        if source.w * source.h > _MOST and max(block.w, block.h) > _LEAST:
            for part in _blocks(block, max(block.w, block.h) // 2):
                self._fill(out, box, level, part, channels)
            return
        x, y = block.x - box.x, block.y - box.y
        part_of_out = out[:, y : y + block.h, x : x + block.w]
        part_of_out[:] = self.if_slide.fill
        if source.w <= 0 or source.h <= 0:
            return
        width, height = (side / step for side in self.if_slide.size)
        window = Window((source.x, source.y), (width, height), self.if_slide.fill)
        size, corner = (source.w, source.h), (source.x * step, source.y * step)
        planes = self.if_slide.read(corner, size, step, channels)
        for target, plane in zip(part_of_out, planes, strict=True):
            smooth = blurred_to_pitch(plane, pitch / step)
            target[:] = pull_exactly(smooth, at, window)

    def _if_points(self, downsample: float, box: Box) -> Points:
        """Where the centres of the box's pixels lie on the IF slide, (h, w, 2) level-0 pixels.

        The transform is evaluated at nodes, the centres of every n-th pixel of the level counted
        from its first, and interpolated between.
        """
        um = downsample * self.he_slide.known_mpp("he_mpp")
        step = max(1, int(_NODE_UM / um))
        x, y = box.x % step, box.y % step
        wide = Box(box.x - x - step, box.y - y - step, x + box.w + 3 * step, y + box.h + 3 * step)
        nodes = self.he_to_if.points(pixel_centres(wide, step) * um)
        # the last bits of a product of matrices depend on how many points are mapped at once, and
        # could tip the rounding of a pixel
        nodes = np.round(nodes / self.if_slide.known_mpp("if_mpp") * _FINEST) / _FINEST
        return between_nodes(nodes, step, (x, y), (box.w, box.h))


def _pitch(if_slide: Slide, he_slide: Slide, he_to_if: Transform) -> float:
    """IF pixels per H&E pixel of level 0, by the median scale of the transform.

    One number for the slide: were it each block's own, blocks would be averaged differently and
    show their seams.
    """
    he_mpp = he_slide.known_mpp("he_mpp")
    share = (np.arange(_PROBES) + 0.5) / _PROBES * he_mpp
    probes = np.stack(np.meshgrid(share * he_slide.size[0], share * he_slide.size[1]), axis=2)
    scale = np.median(np.sqrt(np.abs(np.linalg.det(he_to_if.jacobian(probes)))))
    return he_mpp * float(scale) / if_slide.known_mpp("if_mpp")


def _read_step(if_slide: Slide, pitch: float) -> float:
    """Level-0 IF pixels per pixel read: a whole multiple of a level, not above `pitch`.

    On such a lattice a pixel's value does not depend on the region it is read with, so blocks
    fit together.
    """
    level_step = if_slide.downsamples[if_slide.best_level(max(pitch, 1.0))]
    return level_step * max(1, math.floor(pitch / level_step + 1e-6))


def _around(at: Points, size: tuple[int, int], step: float) -> Box:
    """The pixels to read for the places `at`, in pixels of `step`; empty if none is inside."""
    inside = np.maximum(1, np.floor(np.array(size) / step))
    low = np.floor(at.min(axis=(0, 1))) - _MARGIN
    high = np.ceil(at.max(axis=(0, 1))) + _MARGIN
    first, last = np.clip(low, 0, inside).astype(int), np.clip(high, 0, inside).astype(int)
    return Box(*first.tolist(), *(last - first).tolist())


def _blocks(box: Box, side: int) -> Iterator[Box]:
    for y in range(box.y, box.y + box.h, side):
        for x in range(box.x, box.x + box.w, side):
            w = min(side, box.x + box.w - x)
            yield Box(x, y, w, min(side, box.y + box.h - y))
