"""The slowly varying background of an immunofluorescence channel, and the channel without it."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.slides import Box, Slide

_BLOCK_UM = 250.0
"""Side of the blocks in which the background is estimated; wider than a lymphoid follicle's core,
narrower than the shading of a scanner's field."""
_PERCENTILE = 20.0
"""The share of tissue in a block that is taken to carry no marker."""


@dataclass(frozen=True)
class Background:
    """Background intensity on a coarse grid over the slide.

    Attributes
    ----------
    grid
        (h, w) float32, one value per block; block (0, 0) begins at the slide's corner.
    block
        Side of a block in level-0 pixels.
    """

    grid: NDArray[np.float32]
    block: float

    def at(
        self, xy: tuple[float, float], size: tuple[int, int], step: float
    ) -> NDArray[np.float32]:
        """Background at pixel centres, interpolated between the centres of the blocks.

        Parameters
        ----------
        xy
            Top-left corner of the region, level-0 pixels.
        size
            (w, h) in pixels.
        step
            Level-0 pixels per pixel.
        """
        scale = step / self.block
        offset = [(c + 0.5 * step) / self.block - 0.5 for c in xy]
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(self.grid, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE),
            dtype=np.float32,
        )


def estimate_background(
    overview: NDArray[Any], tissue: NDArray[np.bool_], block: int
) -> NDArray[np.float32]:
    """The background on a grid: a low percentile of each block of tissue, smoothed.

    Parameters
    ----------
    overview
        (H, W) one channel at a coarse resolution.
    tissue
        (H, W) mask of the tissue; glass would pull the background down.
    block
        Side of a block in pixels of the overview.

    Returns
    -------
    array
        (ceil(H / block), ceil(W / block)) float32; blocks without tissue take their nearest
        neighbours' value.
    """
    rows, columns = (-(-side // block) for side in overview.shape)
    grid = np.full((rows, columns), np.nan, np.float32)
    for r in range(rows):
        for c in range(columns):
            cut = np.s_[r * block : (r + 1) * block, c * block : (c + 1) * block]
            values = overview[cut][tissue[cut]]
            if values.size >= 0.05 * block * block:
                grid[r, c] = np.percentile(values, _PERCENTILE)
    if np.isnan(grid).all():
        values = overview[tissue] if tissue.any() else overview
        grid[:] = np.percentile(values, _PERCENTILE)
    return _smooth(grid)


def _smooth(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised blur: what is NaN weighs nothing and is filled from its neighbours."""
    known = ~np.isnan(grid)
    value = np.where(known, grid, 0).astype(np.float32)
    weight = known.astype(np.float32)
    out = np.where(known, grid, np.nan).astype(np.float32)
    sigma = 0.7
    while sigma < 2 * max(grid.shape) + 2:
        top = cv2.GaussianBlur(value, (0, 0), sigma, borderType=cv2.BORDER_ISOLATED)
        under = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_ISOLATED)
        blurred = np.where(under > 1e-3, top / np.maximum(under, 1e-3), np.nan)
        if sigma == 0.7:
            out = np.where(known, blurred, np.nan).astype(np.float32)
        out = np.where(np.isnan(out), blurred, out).astype(np.float32)
        if not np.isnan(out).any():
            break
        sigma *= 2
    return out


def channel_background(slide: Slide, channel: int, tissue: NDArray[np.bool_]) -> Background:
    """The background of one channel of a slide that has a pixel size.

    Parameters
    ----------
    tissue
        (h, w) mask over the whole slide at any resolution.

    Raises
    ------
    RegdataError
        When the channel is constant or holds values that are no numbers.
    """
    name = slide.channels[channel]
    mpp = slide.known_mpp("if_mpp")
    longest = max(tissue.shape)
    downsample = max(1.0, max(slide.size) / longest)
    overview = slide.overview(downsample, (channel,))[0]
    if not np.isfinite(overview).all():
        raise RegdataError(f"channel {name} of {slide.path} holds NaN or infinite values")
    # away from the border, where the black beyond the slide blends in
    inside = overview[2:-3, 2:-3] if min(overview.shape) > 8 else overview
    low, high = float(inside.min()), float(inside.max())
    if high - low <= 1e-5 * max(abs(low), abs(high)):  # resampled floats are never quite equal
        raise RegdataError(
            f"channel {name} of {slide.path} is constant (value {low:g}); "
            "a stained channel is needed"
        )
    block = max(2, round(_BLOCK_UM / (mpp * downsample)))
    h, w = overview.shape
    mask = cv2.resize(tissue.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    grid = estimate_background(overview, mask, block)
    return Background(grid, block * downsample)


def without_background(slide: Slide, channel: int, background: Background) -> Slide:
    """One channel as a slide of its own, float32, its background subtracted."""

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        step = slide.downsamples[level]
        raw = slide.pixels(level, box, (channel,)).astype(np.float32)
        low = background.at((box.x * step, box.y * step), (box.w, box.h), step)
        return raw - low

    return replace(
        slide,
        channels=(slide.channels[channel],),
        dtype=np.dtype(np.float32),
        pixels=pixels,
    )
