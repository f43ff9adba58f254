"""Sections of the report on markers, their thresholds, and reasons for unknown nuclei."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from regdata.cells import ThresholdRecord
from regdata.report.charts import (
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    Bars,
    Mark,
    histogram,
    intensities,
)
from regdata.report.contents import Build
from regdata.report.maps import (
    FEWEST,
    Ground,
    Tiles,
    draw_tiles,
    ground,
    scale,
    shares,
    tile_side,
    with_length,
)
from regdata.report.numbers import short
from regdata.report.page import Figure, Legend

_BETWEEN = "#c9a227"
_MAPS = 4  # reasons that get a map
_LEAST = 0.1  # share that the colours of these reach at least
_FEW = f"fewer than {FEWEST} nuclei"


@dataclass(frozen=True)
class MarkerSection:
    """A marker: names and values of its threshold, and figures."""

    name: str
    rows: list[tuple[str, str]]
    figures: list[Figure]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A reason why nuclei are unknown.

    Attributes
    ----------
    nuclei
        Number of nuclei for which it is the first reason.
    share
        Share of these in all nuclei.
    bar
        `nuclei` relative to the most frequent reason, 0 to 1.
    holds
        Number of unknown nuclei for which it holds; None where the file does not state it.
    """

    name: str
    meaning: str
    nuclei: int
    share: float
    bar: float
    holds: int | None


def marker_sections(build: Build) -> Iterator[MarkerSection]:
    """Sections of the report, one per marker."""
    below = ground(build.look.he, build.look.downsample * build.mpp)
    for name in build.aligned.markers:
        threshold = build.record.thresholds.get(name)
        rows = [] if threshold is None else _numbers(build, name, threshold)
        yield MarkerSection(name, rows, list(_charts(build, name, threshold, below)))


def _numbers(build: Build, name: str, threshold: ThresholdRecord) -> list[tuple[str, str]]:
    low, high = float(threshold.grid.min()), float(threshold.grid.max())
    limits = short(low) if low == high else f"{short(low)} to {short(high)} over the slide"
    separation = threshold.separation
    apart = (
        "one population" if separation == 0 else f"{separation:.2g}; above 2 for two populations"
    )
    contrast, bimodality = threshold.contrast, threshold.bimodality
    part = build.record.rules.compartments.get(name, "nucleus")
    rows = [
        ("method", threshold.method),
        ("threshold", f"{limits} (intensity above background)"),
        ("read in", "the ring around the nucleus" if part == "ring" else "the nucleus"),
        ("contrast of pixels", f"{contrast:.3g}; noise has 3, stains 5 and more"),
        ("bimodality of pixels", f"{bimodality:.2f}; above 0.56 for two populations"),
        ("separation of nuclei", f"{apart} (Ashman's D)"),
    ]
    channel = build.record.channels.get(name)
    under = None if channel is None else channel.background
    if under is not None:
        rows.append(("background", f"{short(under[0])} to {short(under[1])}, subtracted"))
    return rows


def _charts(
    build: Build, name: str, threshold: ThresholdRecord | None, below: Ground
) -> Iterator[Figure]:
    channel = build.record.channels.get(name)
    if threshold is not None and channel is not None:
        pixels = channel.pixels
        drawn = intensities(
            np.asarray(pixels.counts, np.float64), (pixels.low, pixels.high), threshold.grid
        )
        text = "Intensities of the tissue; red: above the threshold (its median over the slide)."
        yield Figure(text, chart=drawn)
    yield _overlaps(build, name)
    yield _positivity(build, name, below)
    if threshold is not None and np.ptp(threshold.grid) > 0:
        yield _threshold_map(threshold, below)


def _overlaps(build: Build, name: str) -> Figure:
    share = build.numbers(f"overlap_{name}")
    counts, _ = np.histogram(share[np.isfinite(share)], 40, (0, 1))
    rule = build.rule
    cut, band = rule.overlap, None if rule.legacy else (rule.ambiguous, rule.overlap)
    by_state = np.array([NEGATIVE_COLOUR, POSITIVE_COLOUR, _BETWEEN])  # -1, the last, between
    colours = by_state[rule.state((np.arange(40) + 0.5) / 40)].tolist()
    bars = Bars(counts.astype(np.float64), 0.0, 1.0, colours)
    text = f"Share of each nucleus that is stained; positive above {cut:g} (red)"
    if band is not None and band[1] > band[0]:
        text += f", unknown between {band[0]:g} and {cut:g} (shaded)"
    marks = [Mark(cut, f"cut-off {cut:g}")]
    return Figure(f"{text}.", chart=histogram(bars, "overlap with the mask", "nuclei", marks, band))


def _positivity(build: Build, name: str, below: Ground) -> Figure:
    known = ~build.unknown
    side = tile_side(build.size_um)
    tiles = shares(build.xy_um[known], build.positive(name)[known], build.size_um, side)
    text = f"Share of positive nuclei, of those with a label, per tile of {side:g} µm."
    legend = Legend(scale("reds"), "0 %", "100 %", "positive", _FEW)
    return _map(below, tiles, (0.0, 1.0), legend, text)


def _threshold_map(threshold: ThresholdRecord, below: Ground) -> Figure:
    values = np.asarray(threshold.grid, np.float64)
    low, high = float(values.min()), float(values.max())
    lent = threshold.grid_weight < 0.5
    side = threshold.tile_um
    times = f", the highest {high / low:.3g} times the lowest" if low > 0 else ""
    text = f"Threshold over the slide, per tile of {side:g} µm{times}."
    hatched = "little evidence, from around"
    legend = Legend(scale(), short(low), short(high), "intensity", hatched)
    return _map(below, Tiles(values, lent, side), (low, high), legend, text)


def _map(
    below: Ground, tiles: Tiles, span: tuple[float, float], legend: Legend, text: str
) -> Figure:
    """A map of tiles; hatching is explained only where there is some."""
    image = draw_tiles(below, tiles, legend.colours, *span)
    if not tiles.unsure.any():
        legend = replace(legend, hatched=None)
    return Figure(with_length(text, image.shape[1], below.mpp), image, legend=legend)


def reasons(build: Build) -> list[Reason]:
    """Reasons why nuclei are unknown, the most frequent first; empty if the file has none."""
    unknown = build.unknown
    if "reason" not in build.obs or not unknown.any():
        return []
    names, counts = np.unique(build.obs["reason"].to_numpy(str)[unknown], return_counts=True)
    bits, codes = build.numbers("reasons"), list(build.reasons)
    coded = bool(np.isfinite(bits).all())

    def holds(name: str) -> int | None:
        if not coded or name not in codes:
            return None
        return int((bits.astype(np.int64) >> codes.index(name) & 1)[unknown].sum())

    return [
        Reason(
            name=str(names[k]),
            meaning=build.reasons.get(names[k], ""),
            nuclei=int(counts[k]),
            share=counts[k] / len(bits),
            bar=counts[k] / counts.max(),
            holds=holds(names[k]),
        )
        for k in np.argsort(-counts, kind="stable")
    ]


def reason_maps(build: Build, shown: list[Reason]) -> Iterator[Figure]:
    """A map per reason, its colours ending at the largest share, at 10 % at least."""
    below = ground(build.look.he, build.look.downsample * build.mpp)
    side = tile_side(build.size_um)
    for name in (reason.name for reason in shown[:_MAPS]):
        here = build.unknown & (build.obs["reason"].to_numpy(str) == name)
        tiles = shares(build.xy_um, here, build.size_um, side)
        most = max(float(np.nan_to_num(tiles.values).max()), _LEAST)
        text = f"{name}: share of the nuclei per tile of {side:g} µm."
        legend = Legend(scale("reds"), "0 %", f"{most:.0%}", "of nuclei", _FEW)
        yield _map(below, tiles, (0.0, most), legend, text)
