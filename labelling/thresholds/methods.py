"""Ways to find the intensity above which something is stained, from a histogram alone."""

import difflib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.labelling.thresholds.histogram import Histogram
from regdata.slides import otsu

METHODS = ("auto", "fixed", "otsu", "li", "triangle", "gmm", "mad", "local")
_MAD_K = 4.0
"""Normally distributed noise lies above it once in 30,000 times."""
TILE_UM = 200.0
"""Side of a tile of the local threshold; SegPath's patches are about as wide."""
_WHOLE = 2.0**40
MIN_CONTRAST = 5.0
"""Below it there is one population of pixels, which Otsu's method would cut in two."""
_TAIL_SDS, _TAIL_SHARE = 12.0, 1e-5
"""Robust standard deviations that no noise reaches, and the share of pixels beyond that is no
accident: one nucleus on a square millimetre."""
_DEFAULT = {"gmm": 2.0, "mad": _MAD_K, "local": TILE_UM}


@dataclass(frozen=True)
class Method:
    """A way to find a threshold.

    Attributes
    ----------
    name
        One of `METHODS`.
    value
        `fixed`: the intensity; `gmm`: components, 2 or 3; `mad`: robust standard deviations above
        the median; `local`: side of a tile in µm. None for the others.
    """

    name: str
    value: float | None = None

    def __str__(self) -> str:
        """The text that `parse_method` reads as this method."""
        return self.name if self.value is None else f"{self.name}:{self.value:.17g}"


def parse_method(text: str) -> Method:
    """A method as it is written in the options: `NAME` or `NAME:VALUE`.

    Parameters
    ----------
    text
        auto, otsu, li, triangle, fixed:INTENSITY, gmm[:2|3], mad[:K] or local[:TILE_UM].

    Raises
    ------
    RegdataError
        When there is no such method, or its value is missing, not wanted or out of range.

    Examples
    --------
    >>> parse_method("fixed:120")
    Method(name='fixed', value=120.0)
    >>> str(parse_method("mad"))
    'mad:4'
    """
    name, colon, rest = (part.strip() for part in text.partition(":"))
    name = name.lower()
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 1)
        guess = f", did you mean {near[0]}?" if near else ";"
        raise RegdataError(
            f"no threshold method {text!r}{guess} there are auto, fixed:INTENSITY, otsu, li, "
            "triangle, gmm[:2|3], mad[:K] and local[:TILE_UM]"
        )
    if name in ("auto", "otsu", "li", "triangle"):
        if colon:
            raise RegdataError(f"threshold method {name} takes no value, not {rest!r}")
        return Method(name)
    if not colon and name in _DEFAULT:
        return Method(name, _DEFAULT[name])
    return Method(name, _number(name, rest))


def _number(name: str, text: str) -> float:
    """The value of a method, checked."""
    wanted = {
        "fixed": "an intensity, as in fixed:120",
        "gmm": "2 or 3 components, as in gmm:3",
        "mad": "a number above 0 of robust standard deviations, as in mad:4",
        "local": "the side of a tile in µm, 10 at least, as in local:200",
    }[name]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    fits = {
        "fixed": np.isfinite(value),
        "gmm": value in (2.0, 3.0),
        "mad": 0 < value < np.inf,
        "local": 10 <= value < np.inf,
    }[name]
    if not fits:
        raise RegdataError(f"threshold method {name} needs {wanted}; got {text or 'nothing'}")
    return value


def otsu_threshold(h: Histogram) -> float:
    """The split into the two classes that differ most (Otsu, 1979).

    The upper end of the range when a single bin is filled, as with the other methods: nothing
    is stained then.
    """
    if np.count_nonzero(h.counts) < 2:
        return h.high
    # whole numbers, so that weights of any unit will do
    counts = np.rint(h.counts * (_WHOLE / h.total)).astype(np.int64)
    return h.edge(otsu(counts)[0])


def li_threshold(h: Histogram) -> float:
    """The split of least cross-entropy, by the iteration of Li & Tam (1998).

    Intensities are counted from the lowest filled bin, as in scikit-image; the iteration begins
    at their mean.
    """
    filled = np.flatnonzero(h.counts)
    if len(filled) < 2:
        return h.high
    counts = h.counts[filled[0] :]
    bins = np.arange(len(counts), dtype=np.float64)
    below, mass = np.cumsum(counts), np.cumsum(counts * bins)
    last = int(mass[-1] / below[-1])
    for _ in range(len(counts)):  # it moves one way, by a bin at least
        last = int(np.clip(last, 0, filled[-1] - filled[0] - 1))
        lower = mass[last] / below[last]
        upper = (mass[-1] - mass[last]) / (below[-1] - below[last])
        # half a bin: the lowest bin's values have a mean above 0
        place = (upper - lower) / (np.log(upper + 0.5) - np.log(lower + 0.5))
        following = int(place - 0.5)
        if following == last:
            break
        last = following
    return h.edge(int(filled[0]) + last)


def triangle_threshold(h: Histogram) -> float:
    """The bin farthest below the line from the peak to the end of its longer tail.

    The triangle method of Zack, Rogers & Latt (1977); for one peak and a tail of few stained
    pixels.
    """
    filled = np.flatnonzero(h.counts)
    if len(filled) < 2:
        return h.high
    peak = int(h.counts.argmax())
    upper = peak - filled[0] < filled[-1] - peak
    end = int(filled[-1] if upper else filled[0])
    bins = np.arange(min(peak, end), max(peak, end) + 1)
    # twice the area of the triangle of peak, end of the tail and bin: the distance but a factor
    down = np.abs(bins - end) * h.counts[peak] - abs(peak - end) * h.counts[bins]
    return h.edge(int(bins[down.argmax()]))


def mad_threshold(h: Histogram, k: float = _MAD_K) -> float:
    """Robust z-score: the median and k times 1.4826 times the median absolute deviation.

    The factor makes it the standard deviation of normally distributed values (Hampel, 1974;
    Iglewicz & Hoaglin, 1993). It holds while less than half of the values are stained.
    """
    if not h.total > 0:
        return h.high
    edges = h.low + np.arange(len(h.counts) + 1) * h.width
    share = np.concatenate([[0.0], np.cumsum(h.counts)]) / h.total
    median = float(np.interp(0.5, share, edges))
    least, most = 0.0, h.high - h.low
    for _ in range(60):  # values lie evenly within their bin, so the share grows steadily
        distance = (least + most) / 2
        inside = np.interp([median - distance, median + distance], edges, share)
        least, most = (distance, most) if inside[1] - inside[0] < 0.5 else (least, distance)
    return median + k * 1.4826 * (least + most) / 2


def contrast(h: Histogram, threshold: float) -> float:
    """Distance between the means of the two classes, in standard deviations of the lower one.

    Normally distributed noise cut in two has 2.6. 0 when a class is empty.

    Examples
    --------
    >>> contrast(Histogram.of([0.5, 2.5, 6.5, 6.5], None, 0.0, 7.0, 7), 4.0)
    5.0
    """
    bins = np.arange(len(h.counts), dtype=np.float64)
    upper = h.centres > threshold
    above, below = h.counts * upper, h.counts * ~upper
    if not (above.sum() > 0 and below.sum() > 0):
        return 0.0
    mean, spread = _moments(bins, below)
    # a tenth of a bin: a lower class of one value has no spread of its own
    return (float(np.average(bins, weights=above)) - mean) / max(spread, 0.1)


def stained_from(h: Histogram) -> tuple[float, float]:
    """Where stained pixels begin, and how far the two classes stand apart.

    Otsu's threshold; where it cuts the noise in two because too few pixels are stained to count
    for it, midway between the median and the mean of what lies beyond any noise.

    Returns
    -------
    threshold, contrast
        See `contrast`; normally distributed noise alone has 2.7, skewed noise up to 4, stains
        14 to 76.
    """
    split = otsu_threshold(h)
    apart = contrast(h, split)
    if apart >= MIN_CONTRAST or not h.total > 0:
        return split, apart
    median = mad_threshold(h, 0.0)
    beyond = h.centres > median + _TAIL_SDS * (mad_threshold(h, 1.0) - median)
    if h.counts[beyond].sum() < _TAIL_SHARE * h.total or median == mad_threshold(h, 1.0):
        return split, apart
    tail = float(np.average(h.centres[beyond], weights=h.counts[beyond]))
    return (median + tail) / 2, contrast(h, (median + tail) / 2)


def bimodality(h: Histogram) -> float:
    """Sarle's bimodality coefficient, 0 to 1: (skewness^2 + 1) / kurtosis.

    A normal distribution has 1/3, a flat one 5/9, two points 1 (SAS Institute, 1990; Pfister et
    al., 2013). A long tail raises it too, to 0.56 for an exponential distribution. 0 when a
    single bin is filled.
    """
    if np.count_nonzero(h.counts) < 2:
        return 0.0
    mean, spread = _moments(h.centres, h.counts)
    z = (h.centres - mean) / spread
    skewness, kurtosis = (float(np.average(z**k, weights=h.counts)) for k in (3, 4))
    return (skewness**2 + 1) / kurtosis


def _moments(x: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean = float(np.average(x, weights=weights))
    return mean, float(np.sqrt(np.average((x - mean) ** 2, weights=weights)))
