"""Maps of the report: values per tile over a faint picture of the slide.

Conventions
-----------
Points are (x, y) µm on the H&E slide, corner origin; tile (0, 0) begins at the slide's corner.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB, Floats

_LONGEST, _SHORTEST = 800, 480  # pixels of the longer side
_TILE_UM, _MOST_TILES = 100.0, 200
_BARS_UM = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_HATCH = 8  # pixels from stripe to stripe
FEWEST = 5
"""Tiles with fewer nuclei are hatched: a share of them says little."""


@dataclass(frozen=True)
class Ground:
    """A picture of the whole slide to draw on, (H, W, 3) uint8, and its µm per pixel."""

    image: RGB
    mpp: float


@dataclass(frozen=True)
class Tiles:
    """A number per tile of the slide.

    Attributes
    ----------
    values
        (h, w) float64; NaN where there is nothing to draw.
    unsure
        (h, w) bool, tiles that are hatched, in grey where their value is NaN.
    tile_um
        Side of a tile, µm.
    """

    values: Floats
    unsure: NDArray[np.bool_]
    tile_um: float


def ground(he: RGB, mpp: float) -> Ground:
    """A faint grey picture to draw maps on.

    Parameters
    ----------
    he
        (H, W, 3) uint8, the whole slide.
    mpp
        µm per pixel of `he`.
    """
    longest = max(he.shape[:2])
    zoom = min(max(longest, _SHORTEST), _LONGEST) / longest
    grey = cv2.cvtColor(np.ascontiguousarray(he), cv2.COLOR_RGB2GRAY)
    size = (max(1, round(grey.shape[1] * zoom)), max(1, round(grey.shape[0] * zoom)))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    light = 128 + np.asarray(cv2.resize(grey, size, interpolation=how)) // 2  # 128 to 255
    return Ground(np.repeat(light[..., None], 3, -1).astype(np.uint8), mpp / zoom)


def tile_side(size_um: tuple[float, float]) -> float:
    """Side of the tiles of a slide of this size, µm: 100, a multiple of it on very large ones."""
    return _TILE_UM * max(1, int(np.ceil(max(size_um) / _TILE_UM / _MOST_TILES)))


def shares(
    xy_um: Floats,
    hit: NDArray[np.bool_],
    size_um: tuple[float, float],
    tile_um: float,
    fewest: int = FEWEST,
) -> Tiles:
    """Share of the nuclei of every tile for which `hit` is True.

    Parameters
    ----------
    xy_um
        (N, 2) float64, µm.
    hit
        (N,) bool.
    size_um
        Width and height of the slide, µm.
    tile_um
        Side of a tile, µm.
    fewest
        Tiles with fewer nuclei are unsure, and NaN.

    Examples
    --------
    >>> places = np.array([[10, 10], [20, 20], [150, 10]], float)
    >>> tiles = shares(places, np.array([True, False, True]), (200, 100), 100, fewest=2)
    >>> tiles.values.tolist(), tiles.unsure.tolist()
    ([[0.5, nan]], [[False, True]])
    """
    columns, rows = (max(1, int(np.ceil(side / tile_um))) for side in size_um)
    place = np.clip(np.floor(xy_um / tile_um).astype(np.int64), 0, [columns - 1, rows - 1])
    index = place[:, 1] * columns + place[:, 0]
    count = np.bincount(index, minlength=rows * columns).reshape(rows, columns)
    inside = np.bincount(index, hit.astype(np.float64), rows * columns).reshape(rows, columns)
    enough = count >= fewest
    values = np.where(enough, inside / np.maximum(count, 1), np.nan)
    return Tiles(values, (count > 0) & ~enough, tile_um)


def scale(name: str = "viridis") -> RGB:
    """(256, 3) uint8, colours from low to high: `viridis`, or `reds` for shares."""
    steps = np.arange(256, dtype=np.uint8)[:, None]
    if name == "viridis":
        return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_VIRIDIS), np.uint8)[:, 0, ::-1]
    stops = np.array([(255, 247, 236), (253, 187, 132), (215, 48, 31), (90, 0, 0)], float)
    at = np.linspace(0, 1, len(stops))
    t = np.linspace(0, 1, 256)
    return np.stack([np.interp(t, at, stops[:, k]) for k in range(3)], -1).astype(np.uint8)


def draw_tiles(below: Ground, tiles: Tiles, colours: RGB, low: float, high: float) -> RGB:
    """(H, W, 3) uint8, tiles in the colours of their values, over the slide.

    Parameters
    ----------
    colours
        (256, 3) uint8, from `low` to `high`.
    """
    h, w = below.image.shape[:2]
    rows, columns = tiles.values.shape
    y = np.clip(((np.arange(h) + 0.5) * below.mpp / tiles.tile_um).astype(int), 0, rows - 1)
    x = np.clip(((np.arange(w) + 0.5) * below.mpp / tiles.tile_um).astype(int), 0, columns - 1)
    at = np.ix_(y, x)
    level = np.nan_to_num((tiles.values - low) / max(high - low, 1e-12))
    fill = colours[np.rint(np.clip(level, 0, 1) * 255).astype(int)][at].astype(np.float32)
    known, unsure = np.isfinite(tiles.values)[at], tiles.unsure[at]
    fill[~known] = 220
    shown = (known | unsure)[..., None]
    out = np.where(shown, fill * (below.image / np.float32(255)), below.image)
    stripe = (np.arange(h)[:, None] + np.arange(w)[None]) % _HATCH < 2
    out[unsure & stripe] = 120
    return with_bar(out.astype(np.uint8), below.mpp)


def bar_um(width: int, mpp: float) -> int:
    """Length of the scale bar of a picture, µm: a round number, a quarter of its width at most."""
    return max((um for um in _BARS_UM if um / mpp <= width / 4), default=0)


def with_length(text: str, width: int, mpp: float) -> str:
    """A line of text with the length of the scale bar of a picture, if it has one."""
    length = bar_um(width, mpp)
    return f"{text} Bar: {length} µm." if length else text


def with_bar(image: RGB, mpp: float) -> RGB:
    """(H, W, 3) uint8, the picture with a scale bar of `bar_um` in its lower left corner."""
    length = round(bar_um(image.shape[1], mpp) / mpp)
    out = image.copy()
    if length >= 8:
        bottom = image.shape[0] - 8
        out[max(0, bottom - 9) : bottom, 6 : 6 + length + 6] = 255
        out[max(0, bottom - 6) : bottom - 3, 9 : 9 + length] = 0
    return out


def smaller(image: RGB, longest: int) -> RGB:
    """The (H, W, 3) image, averaged to at most `longest` pixels a side."""
    zoom = longest / max(image.shape[:2])
    if zoom >= 1:
        return image
    size = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
