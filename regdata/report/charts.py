"""Charts of the report as SVG: drawn without a plotting library, readable on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_W, _H = 360, 220  # about as wide as a phone, so that letters keep their size there
_LEFT, _RIGHT, _TOP, _BASE = 46, 340, 30, 176
_BARS = 100
POSITIVE_COLOUR, NEGATIVE_COLOUR = "#d1495b", "#8d99ae"
_FONT = 'font-family="system-ui,DejaVu Sans,sans-serif" font-size="12" fill="#222"'


@dataclass(frozen=True)
class Mark:
    """A line across a chart, with its name."""

    at: float
    text: str


@dataclass(frozen=True)
class Bars:
    """A histogram.

    Attributes
    ----------
    counts
        (n,) of equal bins.
    low, high
        Lower edge of the first and upper edge of the last bin.
    colours
        (n,) of HTML.
    """

    counts: NDArray[np.float64]
    low: float
    high: float
    colours: Sequence[str]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n,) middle of each bin."""
        n = len(self.counts)
        return np.asarray(self.low + (np.arange(n) + 0.5) / n * (self.high - self.low))


def histogram(
    bars: Bars,
    x_text: str,
    y_text: str,
    marks: Sequence[Mark] = (),
    band: tuple[float, float] | None = None,
) -> str:
    """A histogram, counts on a log scale.

    Parameters
    ----------
    x_text, y_text
        What the axes show.
    marks
        Lines across it.
    band
        A range that is shaded.
    """
    log = np.log10(1 + bars.counts)
    tallest = max(float(log.max(initial=0)), 1e-9)
    width = (_RIGHT - _LEFT) / max(len(log), 1)
    shapes = [
        f'<rect x="{_LEFT + k * width:.1f}" y="{_BASE - tall:.1f}" width="{width:.2f}" '
        f'height="{tall:.1f}" fill="{fill}"/>'
        for k, (tall, fill) in enumerate(
            zip(((_BASE - _TOP - 4) * log / tallest).tolist(), bars.colours, strict=True)
        )
        if tall > 0
    ]
    shade = ""
    if band is not None:
        left, right = (_place(value, bars) for value in band)
        shade = (
            f'<rect x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{_BASE - _TOP}" fill="#f4d58d" fill-opacity="0.6"/>'
        )
    lines = "".join(_mark(mark, bars) for mark in marks)
    return _svg(
        f"{x_text}, {y_text}",
        f"{shade}{''.join(shapes)}{_axes(bars, x_text)}{_heights(tallest)}{lines}"
        f'<text x="12" y="{_BASE}" transform="rotate(-90 12 {_BASE})">{escape(y_text)}</text>',
    )


def intensities(
    counts: NDArray[np.float64], ends: tuple[float, float], limits: NDArray[np.floating]
) -> str:
    """A histogram of intensities with the threshold, up to where all but 1 in 10,000 pixels lie.

    Parameters
    ----------
    counts
        (n,) of equal bins.
    ends
        Lower edge of the first and upper edge of the last bin.
    limits
        Thresholds; where there are several, their median is drawn and their range shaded.
    """
    low, high = ends
    edges = np.linspace(low, high, len(counts) + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)])
    middle, most = float(np.median(limits)), float(limits.max())
    last = min(int(np.searchsorted(below, 0.9999 * below[-1])), len(counts))
    end = max(float(edges[last]), middle + 0.3 * abs(middle), most)
    # a bin is spread evenly: whole bins, more or fewer a bar, would look like combs
    bars = np.diff(np.interp(np.linspace(low, end, _BARS + 1), edges, below))
    bare = Bars(bars, low, end, [])
    colours = [POSITIVE_COLOUR if x > middle else NEGATIVE_COLOUR for x in bare.centres]
    band = (float(limits.min()), most) if np.ptp(limits) > 0 else None
    marks = [Mark(middle, f"threshold {short(middle)}")]
    full = Bars(bars, low, end, colours)
    return histogram(full, "intensity above background", "pixels", marks, band)


def _svg(title: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" role="img" {_FONT} '
        f'style="width:100%;max-width:30rem"><title>{escape(title)}</title>{content}</svg>'
    )


def _place(value: float, bars: Bars) -> float:
    share = (value - bars.low) / max(bars.high - bars.low, 1e-12)
    return _LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0)


def _mark(mark: Mark, bars: Bars) -> str:
    x = _place(mark.at, bars)
    right = x > (_LEFT + _RIGHT) / 2  # the name lies on the side with more room
    anchor, away = ("end", -4) if right else ("start", 4)
    return (
        f'<line x1="{x:.1f}" y1="{_TOP - 14}" x2="{x:.1f}" y2="{_BASE}" stroke="#111" '
        f'stroke-dasharray="4 3"/><text x="{x + away:.1f}" y="{_TOP - 6}" '
        f'text-anchor="{anchor}">{escape(mark.text)}</text>'
    )


def _axes(bars: Bars, x_text: str) -> str:
    labels = "".join(
        f'<path d="M{x:.1f} {_BASE}v4" stroke="#333"/>'
        f'<text x="{x:.1f}" y="{_BASE + 17}" text-anchor="middle">{short(value)}</text>'
        for value, x in ((value, _place(value, bars)) for value in ticks(bars.low, bars.high))
    )
    return (
        f'<line x1="{_LEFT}" y1="{_BASE}" x2="{_RIGHT}" y2="{_BASE}" stroke="#333"/>{labels}'
        f'<text x="{_LEFT}" y="{_BASE + 35}">{escape(x_text)}</text>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from `low` to `high`.

    Examples
    --------
    >>> ticks(0, 18388), ticks(0, 1)
    ([0.0, 5000.0, 10000.0, 15000.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """
    span = max(high - low, 1e-12)
    power = 10.0 ** np.floor(np.log10(span / 5))
    step = next(float(k * power) for k in (1, 2, 5, 10) if k * power >= span / 5 * (1 - 1e-9))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(k * step), 12) + 0.0 for k in np.arange(first, last + 1)]  # no -0


def _heights(tallest: float) -> str:
    """Powers of ten beside the bars, as many as there is room for."""
    every = max(1, int(np.ceil(tallest / 5)))
    out = []
    for power in range(0, int(tallest) + 1, every):
        y = _BASE - (_BASE - _TOP - 4) * float(np.log10(1 + 10.0**power)) / tallest
        if y > _TOP - 4:
            name = f"{10**power:,}" if power < 4 else f"1e{power}"
            out.append(
                f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end" font-size="10">'
                f"{name}</text>"
            )
    return "".join(out)


def short(value: float) -> str:
    """A number in few letters.

    Examples
    --------
    >>> short(0.25), short(1234.5), short(250000.0), short(3e-7)
    ('0.25', '1234', '2.5e+05', '3e-07')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 100_000 else f"{value:.3g}"
