"""Charts as SVG: one frame of axes for all, readable on a phone, drawn without a library."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from regdata.arrays import Floats, Ints
from regdata.report.numbers import short
from regdata.report.page import render

_BARS = 100
_MOST = 200  # points of a line
_HEADROOM = 1.03  # axis over the tallest bar
POSITIVE_COLOUR, NEGATIVE_COLOUR = "#d1495b", "#8d99ae"


@dataclass(frozen=True)
class Axis:
    """What an axis shows, from where to where, and the values named on it."""

    text: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def linear(cls, text: str, low: float = 0.0, high: float = 1.0) -> "Axis":
        """An axis with round numbers."""
        return cls(text, low, high, [(value, short(value)) for value in ticks(low, high)])

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end to 1 at the high one."""
        return min(max((value - self.low) / max(self.high - self.low, 1e-12), 0.0), 1.0)


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
        (n,) float64, of equal bins.
    low, high
        Lower edge of the first and upper edge of the last bin.
    colours
        n colours of HTML.
    """

    counts: NDArray[np.float64]
    low: float
    high: float
    colours: Sequence[str]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n,) float64, middle of each bin."""
        n = len(self.counts)
        return np.asarray(self.low + (np.arange(n) + 0.5) / n * (self.high - self.low))


@dataclass(frozen=True)
class Series:
    """Points of one colour.

    Attributes
    ----------
    x, y
        (n,) float64 each.
    dots
        Drawn as dots; otherwise as a line.
    titles
        Text under the pointer at each of the n dots; none by default.
    """

    name: str
    colour: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dots: bool = False
    titles: Sequence[str] = field(default=())

    @property
    def points(self) -> list[tuple[float, float, str]]:
        """Points that are drawn: x, y and title; lines are thinned to what can be distinguished."""
        keep = np.arange(len(self.x)) if self.dots else thinned(self.x)
        titles = self.titles or [""] * len(self.x)
        return [(float(self.x[k]), float(self.y[k]), titles[k]) for k in keep.tolist()]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Axes, what is drawn between them, and where its values lie in the picture.

    Attributes
    ----------
    bars
        Left and right end, height and colour of each.
    marks
        Lines across, with their names.
    band
        A range of the horizontal axis that is shaded.
    series
        Dots and lines; their names stand below.
    diagonal
        Draw where both axes are equal.
    """

    x: Axis
    y: Axis
    bars: Sequence[tuple[float, float, float, str]] = ()
    marks: Sequence[Mark] = ()
    band: tuple[float, float] | None = None
    series: Sequence[Series] = ()
    diagonal: bool = False

    width, height = 360, 240  # about as wide as a phone, so that letters keep their size there
    left, right, top, base = 46, 344, 26, 194

    def across(self, value: float) -> float:
        """Pixels of a value of the horizontal axis from the left of the picture."""
        return self.left + (self.right - self.left) * self.x.share(value)

    def down(self, value: float) -> float:
        """Pixels of a value of the vertical axis from the top of the picture."""
        return self.base - (self.base - self.top) * self.y.share(value)

    def svg(self) -> Markup:
        """The chart as SVG, with the names of its series."""
        return render("chart.html", chart=self)


def histogram(
    bars: Bars,
    x_text: str,
    y_text: str,
    marks: Sequence[Mark] = (),
    band: tuple[float, float] | None = None,
) -> Markup:
    """A histogram as SVG, counts on a log scale.

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
    edges = np.linspace(bars.low, bars.high, len(log) + 1).tolist()
    columns = zip(edges[:-1], edges[1:], log.tolist(), bars.colours, strict=True)
    return Chart(
        x=Axis.linear(x_text, bars.low, bars.high),
        y=Axis(y_text, 0.0, _HEADROOM * tallest, _powers(tallest)),
        bars=[column for column in columns if column[2] > 0],
        marks=marks,
        band=band,
    ).svg()


def intensities(
    counts: NDArray[np.float64], ends: tuple[float, float], limits: NDArray[np.floating]
) -> Markup:
    """A histogram of intensities as SVG, with the threshold, without the highest 0.01 % of pixels.

    Parameters
    ----------
    counts
        (n,) float64, of equal bins.
    ends
        Lower edge of the first and upper edge of the last bin.
    limits
        Thresholds, of any shape; their median is drawn, and the range of several is shaded.
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


def _powers(tallest: float) -> list[tuple[float, str]]:
    """Powers of ten on a scale of log(1 + count), as many as there is room for."""
    every = max(1, int(np.ceil(tallest / 5)))
    powers = range(0, int(tallest) + 1, every)
    places = [(float(np.log10(1 + 10.0**power)), power) for power in powers]
    return [
        (place, f"{10**power:,}" if power < 4 else f"1e{power}")
        for place, power in places
        if place <= _HEADROOM * tallest
    ]


def thinned(values: Floats, most: int = _MOST) -> Ints:
    """(n,) int64, indices of at most `most` entries, evenly spread, with the first and the last.

    Examples
    --------
    >>> thinned(np.arange(9.0), 3).tolist()
    [0, 4, 8]
    """
    if len(values) <= most:
        return np.arange(len(values))
    return np.unique(np.rint(np.linspace(0, len(values) - 1, most)).astype(np.int64))
