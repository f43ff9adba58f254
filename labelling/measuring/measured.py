"""Measuring nuclei in the channels of the IF slide: one pass over the region around them.

Memory grows with the number of nuclei, not with the slide: pixels are read block by block.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.files import Progress, silent
from regdata.labelling.measuring.footprint import Footprints, footprints, owners, rings
from regdata.labelling.measuring.intensity import LEVELS, Spread, overlap, spread
from regdata.labelling.measuring.neighbours import OPTICS_UM, lent_light, reach
from regdata.labelling.measuring.pixels import Block, PixelValues
from regdata.labelling.measuring.red_cells import red_blood_cells
from regdata.slides import Slide

_RING_UM = 2.0
"""Width of the ring around a nucleus that stands for its cytoplasm and membrane."""
_BLOCK = 1024  # pixels a side worked on at once

Column = NDArray[np.float32]


@dataclass(frozen=True)
class Signal:
    """A channel to measure.

    Attributes
    ----------
    slide
        Its corrected intensity in the H&E frame; one channel.
    saturated
        1 where the camera was saturated; None where it never was.
    curves
        Whether the spread over each nucleus is kept, as curves and pixels, not only its mean.
    """

    slide: Slide
    saturated: Slide | None = None
    curves: bool = True


@dataclass(frozen=True)
class Measured:
    """What was measured of N nuclei.

    Attributes
    ----------
    columns
        (N,) each. Per channel mean, median, p90 of nucleus and ring (`mean_CD3`,
        `ring_mean_CD3`), `saturated_CD3` the share of nucleus and ring, and of a channel with
        curves `lent_CD3`, see `neighbours`; `red_cells`, the share of the nucleus that is
        coloured like red blood cells.
    curves
        (N, 21) each, `nucleus_CD3` and `ring_CD3`; see `intensity`.
    pixels
        Of the same names; none where a file of before they were kept was read.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    pixels: dict[str, PixelValues] = field(default_factory=dict)

    def share(self, name: str, threshold: NDArray[np.floating]) -> Column:
        """(N,) share of the pixels of `nucleus_CD3` or `ring_CD3` above a threshold.

        Without pixels it is interpolated, and exact at the steps of the curves only.

        Parameters
        ----------
        threshold
            (N,) intensity, one for each nucleus.
        """
        if name in self.pixels:
            return self.pixels[name].share(threshold)
        return overlap(self.curves[name], threshold)


@dataclass(frozen=True)
class Region:
    """Nuclei that are measured together, and the neighbours that bound their rings.

    Attributes
    ----------
    index, neighbours
        (n,) and (m,) int64, rows of the table of cells.
    corner
        (x, y) of the top-left corner, level-0 H&E pixels.
    size
        (w, h), pixels.
    """

    index: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    corner: tuple[float, float]
    size: tuple[int, int]


def measure(
    cells: CellTable,
    he: Slide,
    signals: Mapping[str, Signal],
    step: float,
    error_um: NDArray[np.float64],
    ring_um: float = _RING_UM,
    progress: Progress = silent,
) -> Measured:
    """Measure every nucleus in every channel.

    Parameters
    ----------
    cells
        Of the whole slide, level-0 pixels; tokens are not needed.
    he
        The H&E slide.
    signals
        Channels by name, in the frame of `he`.
    step
        Level-0 pixels per pixel at which nuclei are rasterised; the network's resolution.
    error_um
        (N,) expected error of the registration, µm; NaN where it is not known.
    ring_um
        Width of the ring, µm.
    """
    out = _empty(len(cells), signals)
    blocks: dict[str, list[Block]] = {name: [] for name in out.curves}
    mpp = he.known_mpp("he_mpp") * step
    width = ring_um / mpp
    blur = np.hypot(OPTICS_UM, error_um) / mpp
    done = 0
    for region in regions(cells, step, max(ring_margin(width), reach(blur)), whole=True):
        index = region.index
        rgb = he.read_rgb(region.corner, region.size, step)
        here = np.concatenate([index, region.neighbours])
        everyone = footprints(cells.take(here), region.corner, region.size, step)
        owner = owners(everyone, region.size, here)
        nuclei = Footprints(everyone.pixels, everyone.offsets[: len(index) + 1])
        around = rings(owner, width, len(index))
        out.columns["red_cells"][index] = nuclei.share(red_blood_cells(rgb, mpp))
        for name, signal in signals.items():
            plane = signal.slide.read(region.corner, region.size, step)[0]
            inside, beside = spread(plane, everyone), spread(plane, around)
            _keep(out, index, name, "nucleus", inside)
            _keep(out, index, name, "ring", beside)
            if signal.curves:
                lent = lent_light(owner, everyone, inside.mean, blur[index], len(index))
                out.columns[f"lent_{name}"][index] = lent
                blocks[f"nucleus_{name}"].append(_packed(index, nuclei, inside))
                blocks[f"ring_{name}"].append(_packed(index, around, beside))
            if signal.saturated is not None:
                full = signal.saturated.read(region.corner, region.size, step)[0] > 0.5
                out.columns[f"saturated_{name}"][index] = _both(nuclei, around, full)
        done += len(index)
        progress(done / len(cells))
    return replace(out, pixels={name: PixelValues(tuple(own)) for name, own in blocks.items()})


def _empty(count: int, signals: Mapping[str, Signal]) -> Measured:
    names = ["red_cells"]
    for name in signals:
        names += [f"{part}{kind}_{name}" for part in ("", "ring_") for kind in _KINDS]
        names.append(f"saturated_{name}")
    names += [f"lent_{name}" for name, signal in signals.items() if signal.curves]
    kept = [name for name, signal in signals.items() if signal.curves]
    return Measured(
        {name: np.zeros(count, np.float32) for name in names},
        {
            f"{part}_{name}": np.zeros((count, LEVELS + 1), np.float32)
            for name in kept
            for part in ("nucleus", "ring")
        },
    )


_KINDS = {"mean": None, "median": LEVELS // 2, "p90": LEVELS // 10}


def _keep(
    out: Measured,
    index: NDArray[np.int64],
    name: str,
    part: str,
    measured: Spread,
) -> None:
    """Put away curve and mean of the first nuclei."""
    curve, mean = measured.curve[: len(index)], measured.mean[: len(index)]
    if f"{part}_{name}" in out.curves:
        out.curves[f"{part}_{name}"][index] = curve
    prefix = "ring_" if part == "ring" else ""
    for kind, place in _KINDS.items():
        out.columns[f"{prefix}{kind}_{name}"][index] = mean if place is None else curve[:, place]


def _packed(index: NDArray[np.int64], own: Footprints, measured: Spread) -> Block:
    """The pixels of the first nuclei."""
    return Block.pack(index, own.area, measured.values[: own.offsets[-1]])


def _both(nuclei: Footprints, around: Footprints, mask: NDArray[np.bool_]) -> Column:
    """Share of nucleus and ring together that lies in a mask."""
    total = nuclei.area + around.area
    inside = nuclei.share(mask) * nuclei.area + around.share(mask) * around.area
    return np.asarray(inside / np.maximum(total, 1), np.float32)


def ring_margin(width: float) -> int:
    """How many pixels around nuclei must be read to separate their rings from all others.

    A pixel of the ring belongs to another nucleus that is nearer, and as far away at most.
    """
    return 2 * int(np.ceil(width)) + 1


def regions(cells: CellTable, step: float, margin: int, whole: bool = False) -> Iterator[Region]:
    """Nuclei grouped by block, with the region that holds their contours and a margin.

    Parameters
    ----------
    margin
        Pixels.
    whole
        Whether neighbours lie in the region with all of their pixels.
    """
    if len(cells) == 0:
        return
    low = np.minimum.reduceat(cells.vertices, cells.offsets[:-1])
    high = np.maximum.reduceat(cells.vertices, cells.offsets[:-1])
    block = np.floor(cells.xy / (_BLOCK * step)).astype(np.int64)
    order = np.lexsort((block[:, 0], block[:, 1]))
    changes = np.flatnonzero(np.any(np.diff(block[order], axis=0) != 0, axis=1)) + 1
    groups = np.split(order, changes)
    by_block = {tuple(block[group[0]].tolist()): group for group in groups}
    for (x, y), index in by_block.items():
        # whole steps from the slide's corner, so that nuclei fall on the very pixels of the network
        start = np.floor(low[index].min(0) / step - margin)
        stop = np.ceil(high[index].max(0) / step + margin)
        others = [
            by_block[x + dx, y + dy]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if (dx or dy) and (x + dx, y + dy) in by_block
        ]
        near = np.concatenate([np.zeros(0, np.int64), *others])
        near = near[((high[near] > start * step) & (low[near] < stop * step)).all(1)]
        if whole and len(near):
            start = np.minimum(start, np.floor(low[near].min(0) / step - 1))
            stop = np.maximum(stop, np.ceil(high[near].max(0) / step + 1))
        w, h = (stop - start).astype(int).tolist()
        yield Region(index, near, (float(start[0] * step), float(start[1] * step)), (w, h))
