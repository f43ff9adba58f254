"""How much of each nucleus lies inside a mask, counted pixel by pixel.

Needed where the mask is more than a threshold: published masks, and masks whose shape is changed.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.files import Progress, silent
from regdata.labelling.measuring.footprint import Footprints, footprints, owners, polygons, rings
from regdata.labelling.measuring.measured import regions, ring_margin

Stained = Callable[[tuple[float, float], tuple[int, int]], NDArray[np.bool_]]
"""Reads the mask of a region: its corner in level-0 pixels, its (w, h) in output pixels."""


def mask_overlaps(
    cells: CellTable,
    stained: Stained,
    step: float,
    ring_px: float | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Share of each nucleus, or of the ring around it, that lies inside a mask.

    Parameters
    ----------
    cells
        Level-0 pixels of the mask's frame.
    stained
        The mask.
    step
        Level-0 pixels per pixel at which nuclei are rasterised.
    ring_px
        Width of the ring in such pixels; None for the nucleus itself.

    Returns
    -------
    array
        (N,) float32.
    """
    out = np.zeros(len(cells), np.float32)
    done = 0
    for region in regions(cells, step, ring_margin(ring_px or 0)):
        index = region.index
        here = np.concatenate([index, region.neighbours]) if ring_px else index
        pixels = footprints(cells.take(here), region.corner, region.size, step)
        if ring_px:
            pixels = rings(owners(pixels, region.size, here), ring_px, len(index))
        out[index] = pixels.share(stained(region.corner, region.size))
        done += len(index)
        progress(done / len(cells))
    return out


def transfer(
    contours: NDArray[np.int32],
    offsets: NDArray[np.int64],
    mask: NDArray[np.generic],
    cut_off: float = 0.15,
    legacy: bool = False,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels of the nuclei of one tile from the tile's mask.

    Parameters
    ----------
    contours
        (V, 2) x, y indices of pixels; what lies outside the tile counts neither way.
    offsets
        (N + 1,) nucleus i owns contours[offsets[i]:offsets[i + 1]].
    mask
        (H, W) boolean, 0/1 or 0/255: what is not 0 is stained.
    legacy
        The published code's rule, `>= cut_off`; ours and the papers' is `>`.

    Returns
    -------
    positive, share
        (N,) bool and float64.

    Examples
    --------
    >>> square = np.array([[0, 0], [3, 0], [3, 4], [0, 4]], np.int32)  # 20 pixels
    >>> mask = np.zeros((8, 8), np.uint8)
    >>> mask[0, :3] = 255
    >>> [transfer(square, np.array([0, 4]), mask, legacy=old) for old in (False, True)]
    [(array([False]), array([0.15])), (array([ True]), array([0.15]))]
    """
    h, w = mask.shape
    pixels: Footprints = polygons(np.asarray(contours, np.int32), offsets, (w, h))
    stained = np.concatenate([[0], np.cumsum((mask != 0).reshape(-1)[pixels.pixels])])
    hits = stained[pixels.offsets[1:]] - stained[pixels.offsets[:-1]]
    share = hits / np.maximum(pixels.area, 1)
    # compared as counts: 15 of 100 pixels are not above 0.15, whatever a float makes of it
    limit = np.round(cut_off * pixels.area, 9)
    positive = (hits >= limit) & (pixels.area > 0) if legacy else hits > limit
    return positive, share
