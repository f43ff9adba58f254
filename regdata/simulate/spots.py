"""Round things without a nucleus of their own: halos, cytoplasm, mucin vacuoles, red cells.

Conventions
-----------
Positions and axes are full-resolution pixels, (x, y), corner origin.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.simulate.layout import Gland, Layout
from regdata.simulate.maps import lookup
from regdata.simulate.noise import Plane
from regdata.simulate.placing import EPITHELIAL, PLASMA, walk
from regdata.slides import Box

Ellipses = NDArray[np.float64]
"""(N, 6): x, y, semi-axes along and across, angle in radians, strength 0..1."""
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


@dataclass(frozen=True)
class Spots:
    """The ellipses of a picture; each method draws its own over a box, (h, w) float32, 0..1."""

    halos: Ellipses
    plasmas: Ellipses
    vacuoles: Ellipses
    reds: Ellipses

    def halo(self, box: Box) -> Plane:
        """Clear rims that shrinkage leaves around nuclei in the stroma."""
        return draw(self.halos, box, 1.6)

    def plasma(self, box: Box) -> Plane:
        """Cytoplasm of plasma cells."""
        return draw(self.plasmas, box, 2.2)

    def goblets(self, box: Box) -> Plane:
        """Mucin vacuoles of goblet cells."""
        return draw(self.vacuoles, box, 1.5)

    def red_cells(self, box: Box) -> Plane:
        """Red blood cells, paler in the middle."""
        middle = self.reds * np.array([1, 1, 0.45, 0.45, 1, 0.35])
        return np.asarray(draw(self.reds, box, 0.8) - draw(middle, box, 2.0), np.float32)


def scatter(layout: Layout, nuclei: NDArray[np.void], rng: np.random.Generator) -> Spots:
    """The spots that belong to a plan and its nuclei, (N,) of `placing.NUCLEUS`."""
    return Spots(
        _halos(nuclei, rng), _plasmas(nuclei, rng), _vacuoles(layout, rng), _reds(layout, rng)
    )


def draw(ellipses: Ellipses, box: Box, blur: float) -> Plane:
    """Soft-edged ellipses over a box, (box.h, box.w) 0..1; the stronger wins where they overlap."""
    pad = 8
    canvas = np.zeros((box.h + 2 * pad, box.w + 2 * pad), np.uint8)
    origin = np.array([box.x - pad, box.y - pad])
    near = ellipses[:, :2] - origin
    reach = ellipses[:, 2:4].max(1, keepdims=True)
    hit = ((near > -reach) & (near < np.array(canvas.shape[::-1]) + reach)).all(1)
    factor = 1 << _SHIFT
    for (x, y), (_, _, a, b, angle, strength) in zip(near[hit], ellipses[hit], strict=True):
        centre = (round((x - 0.5) * factor), round((y - 0.5) * factor))
        axes = (round(a * factor), round(b * factor))
        shape = (centre, axes, np.degrees(angle), 0, 360, round(255 * strength))
        cv2.ellipse(canvas, *shape, -1, cv2.LINE_AA, _SHIFT)
    soft = cv2.GaussianBlur(canvas, (0, 0), blur)[pad:-pad, pad:-pad]
    return np.asarray(soft * np.float32(1 / 255), np.float32)


def _halos(nuclei: NDArray[np.void], rng: np.random.Generator) -> Ellipses:
    chosen = nuclei[(nuclei["kind"] != EPITHELIAL) & (rng.random(len(nuclei)) < 0.6)]
    wide = rng.uniform(1.5, 5, len(chosen))
    strength = rng.uniform(0.3, 1, len(chosen))
    columns = (chosen["x"], chosen["y"], chosen["long"] + wide, chosen["short"] + wide)
    return np.stack([*columns, chosen["angle"], strength], 1).astype(np.float64)


def _plasmas(nuclei: NDArray[np.void], rng: np.random.Generator) -> Ellipses:
    """Lay an oval of cytoplasm with the nucleus at one end."""
    chosen = nuclei[nuclei["kind"] == PLASMA]
    angle = rng.uniform(0, 2 * np.pi, len(chosen))
    off = 7.0
    x, y = chosen["x"] + off * np.cos(angle), chosen["y"] + off * np.sin(angle)
    long, short = chosen["long"] + 8, chosen["short"] + 4
    strength = rng.uniform(0.5, 0.95, len(chosen))
    return np.column_stack([x, y, long, short, angle, strength]).astype(np.float64)


def _vacuoles(layout: Layout, rng: np.random.Generator) -> Ellipses:
    rows = [_goblets(gland, rng) for gland in layout.glands if gland.goblets]
    return np.concatenate([np.zeros((0, 6)), *rows])


def _goblets(gland: Gland, rng: np.random.Generator) -> Ellipses:
    points, normal = walk(gland.outline, 34.0)
    chosen = rng.random(len(points)) < gland.goblets
    points, normal = points[chosen], normal[chosen]
    count = len(points)
    long = np.minimum(rng.uniform(18, 30, count), gland.wall * 0.3)
    short = rng.uniform(11, 17, count)
    centre = points + normal * (gland.wall - long * rng.uniform(0.8, 1.2, count))[:, None]
    angle = np.arctan2(normal[:, 1], normal[:, 0])
    return np.column_stack([centre, long, short, angle, rng.uniform(0.7, 1, count)])


def _reds(layout: Layout, rng: np.random.Generator) -> Ellipses:
    """Red cells in vessels, and a few astray in the stroma."""
    area = layout.size[0] * layout.size[1]
    xy = rng.uniform((0, 0), layout.size, (area // 700, 2))
    vessel, stroma = lookup(layout.vessel, xy), -lookup(layout.gland, xy)
    astray = (rng.random(len(xy)) < 0.002) & (np.minimum(stroma, -vessel) > 20)
    astray &= lookup(layout.tissue, xy) > 20
    xy = xy[(vessel > 9) | astray]
    radius = rng.uniform(10, 13, len(xy))
    flat = radius * rng.uniform(0.75, 1, len(xy))
    angle, strength = rng.uniform(0, np.pi, len(xy)), rng.uniform(0.75, 1, len(xy))
    return np.column_stack([xy, radius, flat, angle, strength])
