"""Regions of a slide that a user names: polygons of a GeoJSON file, or a box.

Points are (x, y) in level-0 pixels, (0, 0) the top-left corner of the top-left pixel, as QuPath
exports them.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.cells import read_features
from regdata.errors import RegdataError
from regdata.paths import StrPath
from regdata.slides.slide import Box

Ring = NDArray[np.float64]
"""(n, 2) points of a closed line; the last may repeat the first."""
Polygon = list[Ring]
"""An outline, then the holes in it."""

_RIM = 4  # pixels around the mask
_SHIFT = 8  # binary digits after the point of coordinates that are drawn


def read_polygons(path: StrPath) -> list[Polygon]:
    """The polygons of a GeoJSON file; points and lines in it are left out.

    Parameters
    ----------
    path
        As QuPath exports it, or any other GeoJSON, `.geojson` or `.geojson.gz`; see
        `regdata.cells.geojson.read_features`.

    Returns
    -------
    list
        At least one polygon.

    Raises
    ------
    RegdataError
        The file is no GeoJSON, has no polygon, or a polygon has no area to speak of.
    """
    path = Path(path)
    geometries = [g for feature in read_features(path) for g in _flat(feature["geometry"], path)]
    kinds = [str(geometry.get("type")) for geometry in geometries]
    polygons = [
        [_ring(ring, path) for ring in _list(rings, path)]
        for geometry, kind in zip(geometries, kinds, strict=True)
        if kind in ("Polygon", "MultiPolygon")
        for rings in _parts(geometry.get("coordinates"), kind, path)
    ]
    if not polygons:
        others = ", ".join(sorted(set(kinds))) or "nothing"
        raise RegdataError(
            f"expected polygons in {path}, got {others}; draw an area, not points or lines"
        )
    return polygons


def _flat(geometry: dict[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    """A geometry, or those of a collection."""
    if geometry.get("type") != "GeometryCollection":
        yield geometry
        return
    for part in _list(geometry.get("geometries"), path):
        if not isinstance(part, dict):
            raise _damaged(path)
        yield from _flat(part, path)


def _parts(coordinates: object, kind: str, path: Path) -> list[Any]:
    """The polygons of one geometry, empty ones left out."""
    parts = [coordinates] if kind == "Polygon" else coordinates
    return [part for part in _list(parts, path) if part != []]


def _list(value: object, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise _damaged(path)
    return value


def _ring(points: object, path: Path) -> Ring:
    try:
        ring = np.array([point[:2] for point in _list(points, path)], np.float64)
    except (TypeError, ValueError) as error:
        raise _damaged(path) from error
    if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all():
        raise _damaged(path)
    if len(np.unique(ring, axis=0)) < 3:
        raise RegdataError(
            f"expected polygons in {path}, but one has fewer than three different points; remove it"
        )
    return ring


def _damaged(path: Path) -> RegdataError:
    return RegdataError(
        f"expected rings of (x, y) points in the polygons of {path}, got something else; "
        "export it again"
    )


def polygon_mask(
    polygons: Sequence[Sequence[Ring]], size: tuple[int, int], downsample: float
) -> NDArray[np.bool_]:
    """Where polygons lie on a slide.

    Pixels whose centres are inside and those the outlines run through, so that the thinnest
    polygon leaves a trace; exact to a pixel. What one polygon leaves out as a hole another may
    cover.

    Parameters
    ----------
    polygons
        Each an outline and its holes, level-0 pixels, corner origin.
    size
        (w, h) of the slide at level 0.
    downsample
        Level-0 pixels per pixel of the mask, at least 1.

    Returns
    -------
    array
        (h, w) bool over the whole slide, its sides divided by `downsample` and rounded up.

    Raises
    ------
    RegdataError
        All polygons lie outside the slide.

    Examples
    --------
    >>> square = np.array([[2.5, 2.5], [5.5, 2.5], [5.5, 5.5], [2.5, 5.5]])
    >>> polygon_mask([[square]], size=(8, 4), downsample=2.0).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0]])
    """
    width, height = (math.ceil(side / downsample) for side in size)
    canvas = np.zeros((height + 2 * _RIM, width + 2 * _RIM), np.uint8)
    high = (width + 2.0 * _RIM, height + 2.0 * _RIM)
    for rings in polygons:
        # cv2 draws lines that leave its image a few pixels off: cut them at the rim before
        cut = [_clipped(ring / downsample + _RIM, high) for ring in rings]
        # one call per polygon: its holes must not cut into another one
        cv2.fillPoly(canvas, [_fixed(ring) for ring in cut if len(ring)], 1, cv2.LINE_8, _SHIFT)
    mask = canvas[_RIM:-_RIM, _RIM:-_RIM]
    if not mask.any():
        raise RegdataError(
            f"expected polygons on the slide of {size[0]} x {size[1]} pixels, but all lie outside; "
            "their coordinates must be full-resolution pixels of this slide"
        )
    return mask.astype(np.bool_)


def _clipped(ring: Ring, high: tuple[float, float]) -> Ring:
    """A ring cut to the box from 0 to `high` (Sutherland & Hodgman, 1974); (0, 2) if outside."""
    for axis, bound, sign in ((0, 0.0, 1), (1, 0.0, 1), (0, high[0], -1), (1, high[1], -1)):
        if len(ring) == 0:
            break
        depth = sign * (ring[:, axis] - bound)
        after, next_depth = np.roll(ring, -1, 0), np.roll(depth, -1)
        crosses = (depth >= 0) != (next_depth >= 0)
        share = np.where(crosses, depth / np.where(crosses, depth - next_depth, 1), 0)
        meets = ring + share[:, None] * (after - ring)
        # each point that lies inside, and behind each point the place where its side crosses
        both = np.stack([ring, meets], 1).reshape(-1, 2)
        ring = both[np.stack([depth >= 0, crosses], 1).ravel()]
    return ring


def _fixed(ring: Ring) -> NDArray[np.int32]:
    """Points as fixed-point pixel indices, which count from the centre of the first pixel."""
    return np.asarray(np.round((ring - 0.5) * 2**_SHIFT), np.int32)


def parse_box(text: str) -> Box:
    """The box a user writes as "x,y,w,h".

    Parameters
    ----------
    text
        Left, top, width and height, whole level-0 pixels.

    Raises
    ------
    RegdataError
        These are not four whole numbers, or the box is empty or begins outside the slide.

    Examples
    --------
    >>> parse_box("1000, 2000, 512, 256")
    Box(x=1000, y=2000, w=512, h=256)
    """
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        raise RegdataError(
            f'expected a region "x,y,w,h" in whole full-resolution pixels, got "{text}"'
        ) from None
    if x < 0 or y < 0 or w <= 0 or h <= 0:
        raise RegdataError(
            f'expected a region "x,y,w,h" with x and y from 0 and w and h from 1 on, got "{text}"'
        )
    return Box(x, y, w, h)
