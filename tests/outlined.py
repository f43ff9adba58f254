"""Nuclei by their outlines and slides by their pixels, as tests of labels make them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.cells.table import CellTable
from regdata.slides.slide import Box, Slide

Contour = NDArray[np.int32]


def random_contours(
    rng: np.random.Generator, count: int, size: tuple[int, int], radius: float = 9, beyond: int = 0
) -> list[Contour]:
    """Wobbly polygons of pixel indices, their middles at most `beyond` pixels off the image."""
    middles = rng.uniform(-beyond, np.array(size) + beyond, (count, 2))
    return [wobbly(rng, middle, radius) for middle in middles]


def wobbly(rng: np.random.Generator, middle: NDArray[np.float64], radius: float) -> Contour:
    """A polygon around a point, (n, 2) int32."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 20))))
    reach = radius * rng.uniform(0.4, 1.2, (len(angle), 1))
    points = middle + reach * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.rint(points).astype(np.int32)


def disc(x: float, y: float, radius: float) -> Contour:
    """A circle of pixel indices."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.array([x, y]) + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.rint(points).astype(np.int32)


def ragged(contours: Sequence[Contour]) -> tuple[Contour, NDArray[np.int64]]:
    """All vertices in a row, and where each contour begins."""
    vertices = np.concatenate([np.zeros((0, 2), np.int32), *contours])
    return vertices, np.cumsum([0, *map(len, contours)]).astype(np.int64)


def cells_of(contours: Sequence[Contour], step: float = 1.0) -> CellTable:
    """Nuclei whose outlines run through the middles of pixels of `step` level-0 pixels."""
    vertices, offsets = ragged(contours)
    points = ((vertices + 0.5) * step).astype(np.float32)
    xy = np.array([points[a:b].mean(0) for a, b in pairwise(offsets)])
    number = np.ones(len(contours), np.float32)
    kind = np.zeros(len(contours), np.uint8)
    tokens = np.zeros((len(contours), 0), np.float16)
    return CellTable(
        xy=xy.reshape(-1, 2).astype(float),
        vertices=points,
        offsets=offsets,
        tokens=tokens,
        kind=kind,
        kind_probability=number,
        probability=number,
        area_um2=number,
        flags=kind,
    )


def slide_of(planes: NDArray[np.generic], mpp: float = 0.25, *names: str) -> Slide:
    """A slide of one level with these pixels, (C, H, W) or (H, W)."""
    image = planes if planes.ndim == 3 else planes[None]

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.generic]:
        return image[list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (image.shape[2], image.shape[1])
    channels = names or ("CD3",) * len(image)
    return Slide(Path("if.tif"), (size,), mpp, channels, image.dtype, pixels)


def white_he(size: tuple[int, int], mpp: float = 0.25) -> Slide:
    """An H&E slide without anything on it."""
    glass = np.full((3, size[1], size[0]), 240, np.uint8)
    return slide_of(glass, mpp, "red", "green", "blue")
