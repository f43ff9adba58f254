"""Charts of the page of an evaluation as SVG, in the look of the report of a build."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

from regdata.report import short, ticks

_W, _H = 360, 260  # about as wide as a phone, so that letters keep their size there
_LEFT, _RIGHT, _TOP, _BASE = 46, 344, 12, 212
_FONT = 'font-family="system-ui,DejaVu Sans,sans-serif" font-size="12" fill="#222"'
_MOST = 200  # points of a line


@dataclass(frozen=True)
class Series:
    """Points of one colour.

    Attributes
    ----------
    x, y
        (n,) each.
    dots
        Drawn as dots; otherwise as a line.
    titles
        (n,) what the pointer shows of each dot; none by default.
    """

    name: str
    colour: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dots: bool = False
    titles: Sequence[str] = field(default=())


def chart(
    texts: tuple[str, str], series: Sequence[Series], most: float = 1.0, diagonal: bool = False
) -> str:
    """Lines and dots over axes from 0, the vertical one up to 1, and their names below.

    Parameters
    ----------
    texts
        What the horizontal and the vertical axis show.
    most
        End of the horizontal axis.
    diagonal
        Draw where both are equal.
    """
    even = f'<path d="M{_LEFT} {_BASE}L{_RIGHT} {_TOP}" stroke="#999" stroke-dasharray="4 3"/>'
    drawn = "".join(_dots(one, most) if one.dots else _line(one, most) for one in series)
    middle = (_TOP + _BASE) // 2
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" role="img" {_FONT} '
        f'style="width:100%;max-width:30rem"><title>{escape(", ".join(texts))}</title>'
        f"{_axes(most)}{even if diagonal else ''}{drawn}"
        f'<text x="{(_LEFT + _RIGHT) // 2}" y="{_BASE + 36}" text-anchor="middle">'
        f"{escape(texts[0])}</text>"
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{escape(texts[1])}</text></svg>"
    )
    names = "".join(
        f'<span style="white-space:nowrap"><svg width="11" height="11" style="display:inline">'
        f'<circle cx="5.5" cy="5.5" r="5" fill="{one.colour}"/></svg> {escape(one.name)}</span>'
        for one in series
    )
    return f'{svg}<div class="legend">{names}</div>'


def thinned(values: NDArray[np.float64], most: int = _MOST) -> NDArray[np.int64]:
    """Indices of at most `most` entries, evenly spread, the first and the last among them.

    Examples
    --------
    >>> thinned(np.arange(9.0), 3).tolist()
    [0, 4, 8]
    """
    if len(values) <= most:
        return np.arange(len(values))
    return np.unique(np.rint(np.linspace(0, len(values) - 1, most)).astype(np.int64))


def _place(x: float, y: float, most: float) -> tuple[float, float]:
    across = _LEFT + (_RIGHT - _LEFT) * min(max(x / max(most, 1e-12), 0.0), 1.0)
    return across, _BASE - (_BASE - _TOP) * min(max(y, 0.0), 1.0)


def _line(one: Series, most: float) -> str:
    keep = thinned(one.x)
    places = [_place(x, y, most) for x, y in zip(one.x[keep], one.y[keep], strict=True)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="1.8"/>'


def _dots(one: Series, most: float) -> str:
    out = []
    titles = one.titles or [""] * len(one.x)
    for x, y, title in zip(one.x.tolist(), one.y.tolist(), titles, strict=True):
        across, up = _place(x, y, most)
        told = f"<title>{escape(title)}</title>" if title else ""
        out.append(
            f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4.5" fill="{one.colour}" '
            f'fill-opacity="0.65" stroke="{one.colour}">{told}</circle>'
        )
    return "".join(out)


def _axes(most: float) -> str:
    out = []
    for value in ticks(0, most):
        x, _ = _place(value, 0, most)
        out.append(
            f'<path d="M{x:.1f} {_BASE}v4" stroke="#333"/><text x="{x:.1f}" y="{_BASE + 17}" '
            f'text-anchor="middle">{short(value)}</text>'
        )
    for value in ticks(0, 1):
        _, y = _place(0, value, most)
        out.append(
            f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="{"#333" if value == 0 else "#e4e4e4"}"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
    return "".join(out)
