"""Masks of markers in the frame of an H&E slide: opening, checking and reading them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.cells import MaskRecord
from regdata.errors import RegdataError
from regdata.files import Progress, silent
from regdata.slides import Box, Pixels, Slide, find_channel, open_slide, rename_channels

_STEP = 2048  # pixels a side read at once
_SAME_MPP = 0.02  # pixel sizes that differ by less are the same: resolution tags are rounded


@dataclass(frozen=True)
class Mask:
    """The mask of one marker.

    Attributes
    ----------
    slide
        One channel; what is above 0 is stained.
    ratio
        H&E pixels per pixel of the mask, a whole number.
    """

    slide: Slide
    ratio: int

    def stained(self, corner: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask of a region at the H&E slide's own pixels.

        Parameters
        ----------
        corner
            Top-left corner, whole level-0 pixels of the H&E slide.
        size
            (w, h) in pixels.

        Returns
        -------
        array
            (h, w) bool; nothing outside the mask is stained.
        """
        # the mask's own pixels are repeated: between them 0 and 1 must not be mixed
        x, y = ((round(c) + np.arange(n)) // self.ratio for c, n in zip(corner, size, strict=True))
        read = (int(x[-1] - x[0]) + 1, int(y[-1] - y[0]) + 1)
        part = self.slide.read((float(x[0]), float(y[0])), read)[0] > 0
        return np.asarray(part[(y - y[0])[:, None], x - x[0]])

    def over(self, he: Slide) -> Slide:
        """The mask as a slide of the same size as the H&E slide: 1 where stained, else 0."""

        def pixels(level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
            return self.stained((box.x, box.y), (box.w, box.h))[None].astype(np.uint8)

        dtype = np.dtype(np.uint8)
        return replace(self.slide, sizes=(he.size,), mpp=he.mpp, dtype=dtype, pixels=pixels)


def open_masks(
    path: Path, he: Slide, markers: Sequence[str], names: str | None, mpp: float | None
) -> tuple[Slide, dict[str, Mask]]:
    """Open an image of masks and find the channel of each marker.

    Parameters
    ----------
    names
        New names of all channels, separated by commas.
    mpp
        µm per pixel of the masks, if the file does not say or is wrong.

    Returns
    -------
    slide, masks
        The whole image, and the mask of each marker.

    Raises
    ------
    RegdataError
        It does not cover the H&E slide pixel by pixel, or has no such channel.
    """
    slide = open_slide(path).with_mpp(mpp)
    ratio = pixel_ratio(he, slide)
    if names:
        slide = rename_channels(slide, names)
    if slide.is_rgb and len(markers) == 1 and markers[0] not in (*slide.channels, *"012"):
        return slide, {markers[0]: Mask(_grey(slide), ratio)}
    masks = {}
    for name in markers:
        alone = len(slide.channels) == 1 and len(markers) == 1
        masks[name] = Mask(slide.channel(0 if alone else _channel(slide, name)), ratio)
    return slide, masks


def _channel(slide: Slide, name: str) -> int:
    try:
        return find_channel(slide.channels, name)
    except RegdataError as error:
        raise RegdataError(
            f"{slide.path}: {error.message}; name a channel of the masks as `markers=`, or name "
            "the channels with `channel_names=`"
        ) from None


def pixel_ratio(he: Slide, masks: Slide) -> int:
    """H&E pixels per pixel of the masks, a whole number.

    Raises
    ------
    RegdataError
        The two do not show the same extent, or their pixel sizes do not fit together.
    """
    ratio = max(1, round(he.size[0] / masks.size[0]))
    fits = all(abs(a / ratio - b) < (1 if ratio > 1 else 0.5) for a, b in _sides(he, masks))
    mpp = he.known_mpp("he_mpp")
    same = masks.mpp is None or abs(masks.mpp / (mpp * ratio) - 1) < _SAME_MPP
    if fits and same:
        return ratio
    hint = (
        "if their sizes are right, `he_mpp=` and `if_mpp=` (of the masks) correct the pixel sizes"
        if fits
        else "masks must show the whole H&E slide and nothing else, at its own resolution or at a "
        "whole fraction of it (half, a third): export them so; for an IF slide pass `if_=` instead"
    )
    raise RegdataError(
        f"{masks.path} ({_described(masks)}) does not fit {he.path} ({_described(he)}): {hint}"
    )


def _sides(he: Slide, masks: Slide) -> Iterator[tuple[int, int]]:
    return zip(he.size, masks.size, strict=True)


def _described(slide: Slide) -> str:
    mpp = "no pixel size" if slide.mpp is None else f"{slide.mpp:.4g} µm/px"
    return f"{slide.size[0]} x {slide.size[1]} px, {mpp}"


def _grey(slide: Slide) -> Slide:
    """A black and white picture that was stored in colour, as one channel."""

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> Pixels:
        planes = slide.pixels(level, box, (0, 1, 2))
        if not (planes == planes[:1]).all():
            raise RegdataError(
                f"{slide.path} is a picture in colour, not a mask of one marker; name its channels "
                "(red, green, blue) as `markers=`, or give them names with `channel_names=`"
            )
        return planes[:1]

    return replace(slide, channels=("grey",), pixels=pixels)


def examine(name: str, mask: Mask, progress: Progress = silent) -> MaskRecord:
    """Read a whole mask once to see that it is one.

    Raises
    ------
    RegdataError
        It has more than two values, or two and none of them 0.
    """
    slide = mask.slide
    values: set[float] = set()
    stained = 0
    boxes = list(_boxes(slide.size))
    for done, (corner, size) in enumerate(boxes, 1):
        block = slide.read(corner, size)[0]
        values |= _values(block)
        if len(values) > 2:
            raise RegdataError(
                f"{slide.path} is no mask: {name} ({slide.channels[0]}) has {len(values)} or more "
                "values, a mask has two; pass an IF slide as `if_=`, and save a mask without loss "
                "(PNG or TIFF, not JPEG)"
            )
        stained += int(np.count_nonzero(block > 0))
        progress(done / len(boxes))
    if len(values) == 2 and 0 not in values:
        low, high = sorted(values)
        raise RegdataError(
            f"{slide.path} is no mask: {name} has the values {low:g} and {high:g}; expected 0 "
            "where nothing is stained"
        )
    share = stained / (slide.size[0] * slide.size[1])
    return MaskRecord(channel=slide.channels[0], values=tuple(sorted(values)), share=share)


def _values(block: Pixels) -> set[float]:
    low, high = block.min(), block.max()
    if ((block == low) | (block == high)).all():  # as it nearly always is, and without sorting
        return {float(low), float(high)}
    return set(np.unique(block).astype(float).tolist())


def _boxes(size: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    w, h = size
    for y in range(0, h, _STEP):
        for x in range(0, w, _STEP):
            yield (x, y), (min(_STEP, w - x), min(_STEP, h - y))
