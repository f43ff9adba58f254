"""Whole slides with a known map, written tile by tile, and their registration in a fresh process.

The H&E is a mosaic of cut-outs of one field, each turned or mirrored at random, on glass with an
irregular outline; the IF shows the light of the same cut-outs through one smooth map. So no two
places of the slide are alike, and a slide of any size is rendered with the memory of a strip.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from known_warp import (
    CASES,
    MPP,
    SIDE,
    Section,
    Truth,
    counted,
    field,
    he_pixels,
    stained,
    true_map,
)
from measured import measured
from numpy.typing import NDArray

from regdata.registration.registration import register
from regdata.slides import pixel_centres, pull
from regdata.slides.open import open_slide
from regdata.slides.slide import Box
from regdata.slides.write_tiff import STRIP, Layout, stream_ome_tiff
from regdata.transforms.transform import Transform

Floats = NDArray[np.float64]

TILE, INSIDE = 1024, 800  # px of a cut-out, and from the edge of the field: no glass
COLUMNS = 4096  # of the IF rendered at once
GLASS = 245
WHOLE = 100_000  # px a side, what is extrapolated to
NUCLEI = 200_000  # at most, at which errors are taken


@dataclass(frozen=True)
class Mosaic:
    """Cut-outs of a field that tile a square.

    Attributes
    ----------
    side
        px.
    section
        What is cut.
    glass
        (n, n), share of glass on a coarse grid over the square.
    corners
        (rows, columns, 2), x and y in the field where each cut-out begins.
    turns
        (rows, columns), quarter turns, and 4 more when transposed before.
    """

    side: int
    section: Section
    glass: NDArray[np.float32]
    corners: NDArray[np.int64]
    turns: NDArray[np.int64]

    @classmethod
    def random(cls, side: int, section: Section) -> "Mosaic":
        """Lay the cut-outs."""
        rng = np.random.default_rng(side)
        count = math.ceil(side / TILE)
        corners = rng.integers(INSIDE, len(section.rgb) - INSIDE - TILE, (count, count, 2))
        nodes = 512
        y, x = np.mgrid[:nodes, :nodes].astype(np.float32) / nodes - 0.5
        rough = cv2.GaussianBlur(rng.standard_normal((nodes, nodes)), (0, 0), 24)
        away = np.hypot(x, y) + 0.03 * rough / rough.std()
        glass = np.clip((away - 0.44) * 200, 0, 1).astype(np.float32)
        return cls(side, section, glass, corners, rng.integers(0, 8, (count, count)))

    def part(self, pixels: NDArray[Any], box: Box, empty: float) -> NDArray[Any]:
        """Any plane of the field laid out over a box; `empty` on glass and outside."""
        wide = np.full((box.h, box.w, *pixels.shape[2:]), empty, np.float32)
        for row in range(max(0, box.y // TILE), min(len(self.turns), -(-(box.y + box.h) // TILE))):
            for column in range(
                max(0, box.x // TILE), min(len(self.turns), -(-(box.x + box.w) // TILE))
            ):
                tile = self._tile(pixels, row, column)
                x, y = column * TILE - box.x, row * TILE - box.y
                to = (slice(max(y, 0), y + TILE), slice(max(x, 0), x + TILE))
                height, width = wide[to].shape[:2]
                top, left = max(-y, 0), max(-x, 0)
                wide[to] = tile[top : top + height, left : left + width]
        glass = self._glass(box).reshape(box.h, box.w, *[1] * (pixels.ndim - 2))
        return np.asarray(wide + glass * (empty - wide), np.float32)

    def _tile(self, pixels: NDArray[Any], row: int, column: int) -> NDArray[Any]:
        x, y = self.corners[row, column].tolist()
        turn = int(self.turns[row, column])
        tile = pixels[y : y + TILE, x : x + TILE]
        return np.rot90(tile.swapaxes(0, 1) if turn > 3 else tile, turn % 4)

    def _glass(self, box: Box) -> NDArray[np.float32]:
        per = len(self.glass) / self.side
        at = pixel_centres(box) * per
        return np.asarray(pull(self.glass, at, beyond=cv2.BORDER_REPLICATE), np.float32)

    def nuclei_um(self) -> Floats:
        """(N, 2), centres of nuclei in tissue."""
        marks = np.zeros(self.section.light.shape, bool)
        x, y = (self.section.nuclei_um / MPP - 0.5).round().astype(int).T
        marks[y, x] = True
        found = []
        for row, column in np.ndindex(*self.turns.shape):
            y, x = np.nonzero(self._tile(marks, row, column))
            found.append(np.column_stack([x + column * TILE, y + row * TILE]) + 0.5)
        px = np.concatenate(found)
        at = np.minimum(px / self.side * len(self.glass), len(self.glass) - 1).astype(int)
        px = px[(px < self.side).all(1) & (self.glass[at[:, 1], at[:, 0]] < 0.5)]
        return np.asarray(px[:: max(1, len(px) // NUCLEI)] * MPP)


def write_pair(mosaic: Mosaic, folder: Path) -> Truth:
    """Write he.ome.tif and if.ome.tif."""
    side, case = mosaic.side, CASES["A"]
    truth, size = true_map(case, side, np.random.default_rng(side))
    he = Layout((side, side), np.dtype(np.uint8), MPP)
    stream_ome_tiff(folder / "he.ome.tif", he, _he_strips(mosaic), jpeg=True)
    if_ = Layout(size, np.dtype(np.uint16), MPP, ("DAPI",))
    stream_ome_tiff(folder / "if.ome.tif", if_, _if_strips(mosaic, truth, size))
    return truth


def _he_strips(mosaic: Mosaic) -> Iterator[NDArray[np.uint8]]:
    for y in range(0, mosaic.side, STRIP):
        box = Box(0, y, mosaic.side, min(STRIP, mosaic.side - y))
        yield mosaic.part(mosaic.section.rgb, box, GLASS).astype(np.uint8)


def _if_strips(mosaic: Mosaic, truth: Truth, size: tuple[int, int]) -> Iterator[NDArray[np.uint16]]:
    rng = np.random.default_rng(0)
    width, height = size
    for y in range(0, height, STRIP):
        boxes = [
            Box(x, y, min(COLUMNS, width - x), min(STRIP, height - y))
            for x in range(0, width, COLUMNS)
        ]
        seen = np.concatenate([_seen(mosaic, truth, box) for box in boxes], 1)
        yield counted(seen, (0, y), CASES["A"], rng)


def _seen(mosaic: Mosaic, truth: Truth, box: Box) -> NDArray[np.float32]:
    at = he_pixels(truth, box, MPP)
    low = np.floor(at.min((0, 1))).astype(int) - 2
    high = np.ceil(at.max((0, 1))).astype(int) + 3
    light = mosaic.part(mosaic.section.light, Box(*low.tolist(), *(high - low).tolist()), 0.0)
    return np.asarray(pull(light, at, tuple(low.tolist()), "cubic"), np.float32)


def registered(folder: Path) -> Transform:
    """The map between the two files."""
    return register(
        open_slide(folder / "he.ome.tif"), open_slide(folder / "if.ome.tif"), 0
    ).he_to_if


def print_large(sides: list[int], folder: Path | None) -> None:
    """Print a row per size, and what a slide of WHOLE px would take at the cost of the last."""
    rgb = field(0, held_out=True, side=SIDE)
    section = stained(rgb, CASES["A"], np.random.default_rng(0))
    print("| side, px | wall s | CPU s | peak MB | median / p90 (max) error, px | µs per px |")
    print("|---|---|---|---|---|---|", flush=True)
    for side in sides:
        mosaic = Mosaic.random(side, section)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            truth = write_pair(mosaic, Path(name))
            cost = measured(registered, Path(name))
        px = truth.errors_um(cost.result, mosaic.nuclei_um()) / MPP
        each = cost.cpu_s / side**2
        print(
            f"| {side} | {cost.wall_s:.0f} | {cost.cpu_s:.0f} | {cost.peak_mb:.0f} | "
            f"{np.median(px):.2f} / {np.percentile(px, 90):.2f} ({px.max():.1f}) | "
            f"{1e6 * each:.2f} |",
            flush=True,
        )
    print(f"\nat the last cost a pixel, {WHOLE} px a side: {each * WHOLE**2 / 3600:.1f} CPU hours")
