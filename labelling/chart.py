"""Charts of histograms as SVG: drawn without a plotting library, sharp at any size."""

from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.atomic import replacing
from regdata.labelling.histogram import Histogram

_W, _H, _LEFT, _BASE = 520, 220, 46, 180
_BARS = 128


def write_histogram(path: Path, pixels: Histogram, threshold: float, title: str) -> None:
    """Write `histogram_svg` to a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(histogram_svg(pixels, threshold, title), encoding="utf-8")


def histogram_svg(pixels: Histogram, threshold: float, title: str) -> str:
    """A histogram with its threshold, counts on a log scale.

    Parameters
    ----------
    pixels
        Background-subtracted intensities of the tissue.
    threshold
        Drawn as a line.
    """
    high = _end(pixels, threshold)
    bars = _rebinned(pixels, high)
    width = (_W - _LEFT - 10) / _BARS
    tallest = max(float(np.log10(1 + bars).max()), 1e-9)
    shapes = []
    for k, count in enumerate(bars.tolist()):
        tall = 140 * np.log10(1 + count) / tallest
        stained = high * (k + 0.5) / _BARS > threshold
        fill = "#d1495b" if stained else "#8d99ae"
        x, y = _LEFT + k * width, _BASE - tall
        shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{tall:.1f}" fill="{fill}"/>'
        )
    at = _LEFT + (_W - _LEFT - 10) * min(1.0, max(0.0, threshold / high))
    ticks = "".join(
        f'<text x="{_LEFT + (_W - _LEFT - 10) * s:.0f}" y="196" text-anchor="middle">'
        f"{high * s:.4g}</text>"
        for s in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" role="img" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="{_W}" height="{_H}" fill="white"/>'
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>'
        f"{''.join(shapes)}"
        f'<line x1="{_LEFT}" y1="{_BASE}" x2="{_W - 10}" y2="{_BASE}" stroke="#333"/>'
        f'<line x1="{at:.1f}" y1="28" x2="{at:.1f}" y2="{_BASE}" stroke="#111" '
        'stroke-dasharray="4 3"/>'
        f'<text x="{at + 4:.1f}" y="38">threshold {threshold:.4g}</text>{ticks}'
        f'<text x="{_LEFT}" y="212">intensity above background</text>'
        f'<text x="14" y="{_BASE}" transform="rotate(-90 14 {_BASE})">pixels of tissue (log)</text>'
        "</svg>"
    )


def _end(pixels: Histogram, threshold: float) -> float:
    """Right end of the picture: where all but 1 in 10,000 pixels lie, and the threshold in view."""
    share = np.cumsum(pixels.counts) / max(pixels.total, 1)
    last = pixels.edge(int(np.searchsorted(share, 0.9999).clip(0, len(share) - 1)))
    return max(last, 1.3 * threshold, pixels.width)


def _rebinned(pixels: Histogram, high: float) -> NDArray[np.float64]:
    place = np.clip(pixels.centres / high * _BARS, 0, _BARS - 1).astype(np.int64)
    return np.bincount(place, pixels.counts, minlength=_BARS)[:_BARS].astype(np.float64)
