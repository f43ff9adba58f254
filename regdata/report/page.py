"""Self-contained HTML pages from the templates of this folder."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from regdata.arrays import RGB
from regdata.errors import RegdataError
from regdata.report.numbers import number

_QUALITY = 85


@dataclass(frozen=True)
class Fact:
    """A headline number, its name, and its colour in HTML."""

    number: str
    name: str
    colour: str | None = None


@dataclass(frozen=True)
class Note:
    """A highlighted line with details; `kind` is good, warn or empty."""

    kind: str
    title: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Legend:
    """A colour scale with the values at its ends.

    Attributes
    ----------
    colours
        (n, 3) uint8 RGB, from low to high.
    hatched
        Meaning of hatching; None without hatching.
    """

    colours: RGB
    low: str
    high: str
    name: str
    hatched: str | None = None

    @property
    def stops(self) -> str:
        """The colours as stops of a CSS gradient."""
        return ",".join(css((r, g, b)) for r, g, b in self.colours[::15].tolist())


@dataclass(frozen=True)
class Figure:
    """A picture, (H, W, 3) uint8, or a chart as SVG, over a line of text."""

    text: str
    image: RGB | None = None
    chart: Markup | None = None
    legend: Legend | None = None


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("regdata.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "jpeg": jpeg_uri,
        "number": number,
        "thousands": lambda count: f"{count:,}",
        "px": lambda length: f"{length:.1f}",
        "percent": lambda share: f"{share:.0%}",
    }
    return environment


def render(template: str, **values: object) -> Markup:
    """A page, or a part of one, from its template; all text in `values` is escaped."""
    return Markup(_templates().get_template(template).render(values))


def jpeg_uri(image: RGB, quality: int = _QUALITY) -> str:
    """An RGB image, (H, W, 3) uint8, as the data URI of a JPEG with full chroma resolution."""
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


def css(colour: tuple[int, int, int]) -> str:
    """An RGB colour in HTML."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
