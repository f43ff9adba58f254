"""The report's sections on markers and on reasons: how stains were divided, what stays unknown."""

from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import NDArray

from regdata.cells import ThresholdRecord
from regdata.report.charts import (
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    Bars,
    Mark,
    histogram,
    intensities,
    short,
)
from regdata.report.contents import Build
from regdata.report.html import bar_cell, figure, grid, heading, jpeg_uri, legend, paragraph, table
from regdata.report.maps import (
    FEWEST,
    Ground,
    Tiles,
    bar_um,
    draw_tiles,
    ground,
    scale,
    shares,
    tile_side,
)

_BETWEEN = "#c9a227"
_MAPS = 4  # reasons that get a map
_LEAST = 0.1  # share that the colours of these reach at least
_FEW = f"fewer than {FEWEST} nuclei"


def markers(build: Build) -> Iterator[str]:
    """A section per marker."""
    below = ground(build.look.he, build.look.downsample * build.mpp)
    for name in build.aligned.markers:
        yield heading(f"Marker {name}")
        told = build.record.thresholds.get(name)
        if told is not None:
            yield table(_numbers(build, name, told))
        yield grid(_charts(build, name, told, below))


def _numbers(build: Build, name: str, told: ThresholdRecord) -> list[tuple[str, str]]:
    low, high = float(told.grid.min()), float(told.grid.max())
    limits = short(low) if low == high else f"{short(low)} to {short(high)} over the slide"
    separation = told.separation
    apart = (
        "one population" if separation == 0 else f"{separation:.2g}; above 2 for two populations"
    )
    part = build.record.rules.compartments.get(name, "nucleus")
    rows = [
        ("method", told.method),
        ("threshold", f"{limits} (intensity above background)"),
        ("read in", "the ring around the nucleus" if part == "ring" else "the nucleus"),
        ("contrast of pixels", f"{told.contrast:.3g}; noise has 3, stains 5 and more"),
        (
            "bimodality of pixels",
            f"{told.bimodality:.2f}; above 0.56 for two populations",
        ),
        ("separation of nuclei", f"{apart} (Ashman's D)"),
    ]
    channel = build.record.channels.get(name)
    under = None if channel is None else channel.background
    if under is not None:
        rows.append(("background", f"{short(under[0])} to {short(under[1])}, subtracted"))
    return rows


def _charts(build: Build, name: str, told: ThresholdRecord | None, below: Ground) -> Iterator[str]:
    channel = build.record.channels.get(name)
    if told is not None and channel is not None:
        pixels = channel.pixels
        yield figure(
            intensities(
                np.asarray(pixels.counts, np.float64),
                (pixels.low, pixels.high),
                told.grid,
            ),
            "Intensities of the tissue; red: above the threshold (its median over the slide).",
        )
    yield figure(*_overlaps(build, name))
    yield _positivity(build, name, below)
    if told is not None and np.ptp(told.grid) > 0:
        yield _threshold_map(told, below)


def _overlaps(build: Build, name: str) -> tuple[str, str]:
    share = build.numbers(f"overlap_{name}")
    found, _ = np.histogram(share[np.isfinite(share)], 40, (0, 1))
    rule = build.rule
    cut, band = rule.overlap, None if rule.legacy else (rule.ambiguous, rule.overlap)
    by_state = np.array([NEGATIVE_COLOUR, POSITIVE_COLOUR, _BETWEEN])  # -1, the last, between
    colours = by_state[rule.state((np.arange(40) + 0.5) / 40)].tolist()
    bars = Bars(found.astype(np.float64), 0.0, 1.0, colours)
    text = f"Share of each nucleus that is stained; positive above {cut:g} (red)"
    if band is not None and band[1] > band[0]:
        text += f", unknown between {band[0]:g} and {cut:g} (shaded)"
    chart = histogram(
        bars, "overlap with the mask", "nuclei", [Mark(cut, f"cut-off {cut:g}")], band
    )
    return chart, f"{text}."


def _positivity(build: Build, name: str, below: Ground) -> str:
    known = ~build.unknown
    side = tile_side(build.size_um)
    tiles = shares(build.xy_um[known], build.positive(name)[known], build.size_um, side)
    text = f"Share of positive nuclei, of those with a label, per tile of {side:g} µm."
    return _map(below, tiles, scale("reds"), (0.0, 1.0), ("0 %", "100 %"), "positive", _FEW, text)


def _threshold_map(told: ThresholdRecord, below: Ground) -> str:
    values = np.asarray(told.grid, np.float64)
    low, high = float(values.min()), float(values.max())
    lent = told.grid_weight < 0.5
    side = told.tile_um
    times = f", the highest {high / low:.3g} times the lowest" if low > 0 else ""
    text = f"Threshold over the slide, per tile of {side:g} µm{times}."
    hatched = "little evidence, from around" if lent.any() else None
    ends = short(low), short(high)
    tiles = Tiles(values, lent, side)
    return _map(below, tiles, scale(), (low, high), ends, "intensity", hatched, text)


def _map(
    below: Ground,
    tiles: Tiles,
    colours: NDArray[np.uint8],
    span: tuple[float, float],
    ends: tuple[str, str],
    what: str,
    hatched: str | None,
    text: str,
) -> str:
    image = draw_tiles(below, tiles, colours, *span)
    length = bar_um(image.shape[1], below.mpp)
    told = f"{text} Bar: {length} µm." if length else text
    content = f'<img alt="{escape(text)}" src="{jpeg_uri(image)}">'
    return figure(
        content + legend(colours, *ends, what, hatched if tiles.unsure.any() else None), told
    )


def reasons(build: Build) -> Iterator[str]:
    """Why nuclei are unknown, and where those lie."""
    yield heading("Unknown nuclei")
    unknown = build.unknown
    if not unknown.any():
        yield paragraph("Every nucleus has a label.")
        return
    if "reason" not in build.obs:
        yield paragraph(f"{int(unknown.sum()):,} nuclei, without a reason.")
        return
    told = build.obs["reason"].to_numpy(str)
    names, counts = np.unique(told[unknown], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    yield _reason_table(build, names[order], counts[order])
    side = tile_side(build.size_um)
    shown = {
        name: shares(build.xy_um, unknown & (told == name), build.size_um, side)
        for name in names[order][:_MAPS].tolist()
    }
    yield grid(_reason_maps(build, shown), "grid small")


def _reason_table(build: Build, names: NDArray[np.str_], counts: NDArray[np.int64]) -> str:
    bits = build.numbers("reasons")
    codes = list(build.reasons)
    lines = []
    for name, count in zip(names.tolist(), counts.tolist(), strict=True):
        holds = ""
        if name in codes and np.isfinite(bits).all():
            set_ = bits.astype(np.int64) >> codes.index(name) & 1
            holds = f"{int(set_[build.unknown].sum()):,}"
        lines.append(
            f"<tr><td><code>{escape(name)}</code>"
            f"<small>{escape(build.reasons.get(name, ''))}</small></td>"
            f'<td class="n">{count:,}</td><td class="n">{count / len(bits):.1%}</td>'
            f'<td class="n">{holds}</td>{bar_cell(count / max(int(counts.max()), 1), "#555")}</tr>'
        )
    return (
        '<div class="scroll"><table><tr><th>reason</th><th class="n">nuclei</th>'
        '<th class="n">of all</th><th class="n">holds for</th><th></th></tr>'
        f"{''.join(lines)}</table></div>"
        + paragraph(
            "Each nucleus is counted under the first reason that holds for it; “holds for” "
            "counts all."
        )
    )


def _reason_maps(build: Build, shown: dict[str, Tiles]) -> Iterator[str]:
    """A map per reason, its colours ending at the largest share, or at 10 % where that is less."""
    below = ground(build.look.he, build.look.downsample * build.mpp)
    for name, tiles in shown.items():
        most = max(float(np.nan_to_num(tiles.values).max()), _LEAST)
        text = f"{name}: share of the nuclei per tile of {tiles.tile_um:g} µm."
        ends = ("0 %", f"{most:.0%}")
        yield _map(below, tiles, scale("reds"), (0.0, most), ends, "of nuclei", _FEW, text)
