"""Overlaps counted in pixels, where a mask is more than a threshold."""

import numpy as np

from regdata.arrays import Bools, Plane
from regdata.cells import CellTable
from regdata.chain.options import BuildOptions
from regdata.files import bar
from regdata.labelling.measuring import Signal, mask_overlaps, shape_mask
from regdata.labelling.thresholds import Surface, Threshold


def shape_overlaps(
    cells: CellTable,
    channels: dict[str, Signal],
    cuts: dict[str, Threshold],
    options: BuildOptions,
    scale: tuple[float, float],
) -> dict[str, Plane]:
    """Per marker (N,) the share of each nucleus, or of its ring, inside the marker's mask.

    Parameters
    ----------
    channels
        The corrected channels in the frame of the H&E.
    scale
        Level-0 H&E pixels, and µm, per pixel of the network.
    """
    step, mpp = scale
    least = round(options.min_size_um2 / mpp**2)
    out = {}
    for name, threshold in cuts.items():
        ring = options.compartments.get(name, "nucleus") == "ring"

        def stained(
            corner: tuple[float, float],
            size: tuple[int, int],
            signal: Signal = channels[name],
            surface: Surface = threshold.surface,
        ) -> Bools:
            image = signal.slide.read(corner, size, step)[0]
            limit = surface.over(np.array(corner) / step * mpp, size, mpp)
            return shape_mask(image > limit, options.erode, least)

        with bar(f"mask {name}"[:12]) as progress:
            width = options.ring_um / mpp if ring else None
            out[name] = mask_overlaps(cells, stained, step, width, progress)
    return out
