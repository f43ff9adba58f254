"""Pieces of a page that needs nothing beside itself: style, tables, figures, inlined pictures."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np

from regdata.arrays import RGB
from regdata.errors import RegdataError

_QUALITY = 85
_STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:#222;
background:#fff;max-width:72rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.5rem 0;overflow-wrap:anywhere} h2{font-size:1.25rem;
margin:2.5rem 0 .5rem;border-bottom:2px solid #ddd;overflow-wrap:anywhere}
h3{font-size:1.05rem;margin:1.5rem 0 .25rem;overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:48rem;overflow-wrap:anywhere}
.box{border-left:5px solid #888;background:#f5f5f5;padding:.5rem .9rem;margin:.6rem 0;
overflow-wrap:anywhere}
.good{border-color:#2ca02c;background:#f0f8f0} .warn{border-color:#e08a00;background:#fff6e6}
.box ul{margin:.2rem 0;padding-left:1.2rem}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.6rem;
margin:1rem 0}
.facts div{border:1px solid #ddd;border-radius:.3rem;padding:.4rem .7rem;overflow-wrap:anywhere}
.facts b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.facts i{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.35em}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1rem;
align-items:start}
.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,10rem),1fr))}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,10rem),1fr));gap:.6rem}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr))}
figure{margin:0;break-inside:avoid} figcaption{color:#444;font-size:.875rem;overflow-wrap:anywhere}
img,svg{display:block;max-width:100%;height:auto} img{width:100%}
.gallery figcaption{font-size:.75rem;line-height:1.3;font-variant-numeric:tabular-nums}
.gallery svg{width:100%;border:1px solid #ccc} .gallery figure:hover polygon{display:none}
.legend{display:flex;flex-wrap:wrap;align-items:center;gap:.1rem .5rem;font-size:.8125rem;
margin-top:.25rem} .legend i{display:inline-block;width:7rem;height:.8rem;border:1px solid #bbb}
.legend i.hatched{width:1.6rem;
background:repeating-linear-gradient(-45deg,#777 0 2px,#dcdcdc 2px 6px)}
.scroll{overflow-x:auto} table{border-collapse:collapse;font-size:.9375rem}
td,th{padding:.25rem .7rem .25rem 0;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td{overflow-wrap:anywhere} td.bar{min-width:3rem;width:30%}
td.bar span{display:block;height:.9rem;margin-top:.3rem;min-width:1px}
td code{white-space:nowrap} code{background:#f3f3f3;padding:.05rem .3rem}
td small{display:block;color:#444} pre{white-space:pre-wrap;
overflow-wrap:anywhere;background:#f5f5f5;padding:.6rem;font-size:.8rem}
@media(min-width:60rem){.small{grid-template-columns:repeat(4,1fr)}
.gallery{grid-template-columns:repeat(6,1fr)}
.wide{grid-template-columns:repeat(4,1fr)}}
@media print{body{font-size:10pt;max-width:none;padding:0} h2,h3{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact} tr{break-inside:avoid}
.gallery{grid-template-columns:repeat(6,1fr);gap:2mm} .wide{grid-template-columns:repeat(4,1fr)}
.grid{grid-template-columns:75mm 75mm} .gallery figcaption{font-size:6pt}
.small{grid-template-columns:repeat(4,1fr)}
.facts{grid-template-columns:repeat(5,1fr)}}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page; `parts` is HTML, `title` is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """A paragraph of text."""
    return f"<p>{escape(text)}</p>"


def box(kind: str, title: str, lines: Sequence[str] = ()) -> str:
    """A line that stands out, and what there is to say of it; `kind` is good, warn or empty."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    rest = f"<ul>{items}</ul>" if items else ""
    return f'<div class="box {kind}"><strong>{escape(title)}</strong>{rest}</div>'


def facts(entries: Sequence[tuple[str, str, str | None]]) -> str:
    """Numbers to see first: (number, what it is, a colour of HTML or None) each."""
    return f'<div class="facts">{"".join(_fact(*entry) for entry in entries)}</div>'


def _fact(number: str, name: str, colour: str | None) -> str:
    dot = "" if colour is None else f'<i style="background:{colour}"></i>'
    return f"<div><b>{escape(number)}</b>{dot}{escape(name)}</div>"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values."""
    lines = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f'<div class="scroll"><table>{lines}</table></div>'


def bar_cell(share: float, colour: str) -> str:
    """A cell of a table with a bar, `share` 0 to 1 of its width."""
    width = 100 * min(max(share, 0.0), 1.0)
    return f'<td class="bar"><span style="width:{width:.2f}%;background:{colour}"></span></td>'


def grid(figures: Iterable[str], kind: str = "grid") -> str:
    """Figures side by side, as many as fit."""
    return f'<div class="{kind}">{"".join(figures)}</div>'


def figure(content: str, text: str) -> str:
    """A picture or chart (HTML) over a line of text."""
    return f"<figure>{content}<figcaption>{escape(text)}</figcaption></figure>"


def picture(image: RGB, text: str) -> str:
    """A figure of an image, inlined as JPEG."""
    return figure(f'<img alt="{escape(text)}" src="{jpeg_uri(image)}">', text)


def jpeg_uri(image: RGB, quality: int = _QUALITY) -> str:
    """An RGB image as a data URI; colours as sharp as brightness, for small structures."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, coded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    if not done:
        raise RegdataError(f"a picture of shape {image.shape} cannot be written as JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode()}"


def legend(colours: RGB, low: str, high: str, name: str, hatched: str | None = None) -> str:
    """A colour scale with the values at its ends.

    Parameters
    ----------
    colours
        (n, 3) RGB from low to high.
    hatched
        What hatching means, where there is some.
    """
    stops = ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours[::15].tolist())
    sample = f'<span><i class="hatched"></i> {escape(hatched)}</span>' if hatched else ""
    return (
        f'<div class="legend"><span>{escape(low)}</span>'
        f'<i style="background:linear-gradient(90deg,{stops})"></i>'
        f"<span>{escape(high)}</span><span>{escape(name)}</span>{sample}</div>"
    )


def css(colour: tuple[int, int, int]) -> str:
    """An RGB colour as HTML writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
