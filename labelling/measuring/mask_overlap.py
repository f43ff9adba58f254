"""How much of each nucleus lies inside a mask, counted pixel by pixel.

Needed where the mask is more than a threshold: published masks, and masks whose shape is changed.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.files import Progress, silent
from regdata.labelling.measuring.footprint import footprints, owners, rings
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
