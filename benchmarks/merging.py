"""CPU time and memory of merging the nuclei of overlapping tiles, and of writing them.

    python benchmarks/merging.py [--rows 60] [--width 384] [--reference-rows 6]

A slide of rows x rows tiles (1024 px, overlap 64, about 290 nuclei per core) is made up tile by
tile: nuclei on a jittered lattice, seen by each tile up to a pixel off and cut where the tile ends.
They are merged and written to an .h5 file; the truth is known, so lost and doubled nuclei are
counted. The last row is the straightforward way, on a smaller slide of the same kind and with
ours beside it: what lies in the margins of tiles is held as polygons, and in up to 20 rounds every
polygon looks up its overlapping neighbours in a tree and the largest neighbour stays. It needs
shapely 2, and leaves out what the original also does: a dictionary per cell.
"""

import argparse
import importlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tiny import parsed

from regdata.cells.dataset import write_dataset
from regdata.cells.table import CellTable
from regdata.cellvit.tiles.seams import SeamResolver, TileGrid

STEP = 56  # px between nuclei
SHAPES = 64
POOL = 4096  # different tokens
Mask = NDArray[np.uint8]


def outline(mask: Mask) -> NDArray[np.float32]:
    """The contour of a mask, through the centres of its border pixels, (n, 2)."""
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest: NDArray[np.int32] = max(found, key=len)[:, 0]
    return (longest + 0.5).astype(np.float32)


@lru_cache
def shape(index: int) -> Mask:
    """One of the masks that nuclei have."""
    rng = np.random.default_rng(index)
    wide, high = rng.uniform(8, 18), rng.uniform(8, 18)
    angle = rng.uniform(0, np.pi)
    rows, columns = np.indices((41, 41)) - 20
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    # three bumps make the contour as rich as a real one's, about 40 points
    edge = 1 + 0.08 * np.cos(3 * np.arctan2(across / high, along / wide))
    return ((along / wide) ** 2 + (across / high) ** 2 < edge).astype(np.uint8)


@lru_cache(1 << 16)
def view(index: int, left: int, top: int, right: int, bottom: int) -> tuple[Any, Any, int]:
    """Contour, centroid and area of what a tile's sides leave of a shape (cuts in pixels)."""
    mask = shape(index).copy()
    mask[:top], mask[41 - bottom :] = 0, 0
    mask[:, :left], mask[:, 41 - right :] = 0, 0
    rows, columns = np.nonzero(mask)
    if len(rows) < 10:
        return None, None, 0
    centre = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    return outline(mask), centre, len(rows)


@dataclass(frozen=True)
class Section:
    """Nuclei of a made-up slide; (n, n) arrays over the lattice."""

    grid: TileGrid
    jitter: NDArray[np.int64]
    shapes: NDArray[np.int64]
    tokens: NDArray[np.float16]

    def centres(self) -> NDArray[np.float64]:
        """(N, 2) true centroids, in the order of the lattice."""
        places = np.indices(self.shapes.shape)[::-1].transpose(1, 2, 0) * STEP + self.jitter
        own = np.stack([view(i, 0, 0, 0, 0)[1] for i in range(SHAPES)])
        return np.asarray((places + own[self.shapes]).reshape(-1, 2))

    def tile(self, row: int, column: int) -> CellTable:
        """What a detector finds in one tile, in pixels of the grid."""
        rng = np.random.default_rng((row, column))
        x, y = self.grid.corner(row, column)
        first = max(0, y // STEP - 1), max(0, x // STEP - 1)
        last = (y + self.grid.tile) // STEP + 1, (x + self.grid.tile) // STEP + 1
        lattice = np.s_[first[0] : last[0], first[1] : last[1]]
        places = np.indices(self.shapes[lattice].shape)[::-1].transpose(1, 2, 0) + first[::-1]
        corners = (places * STEP + self.jitter[lattice]).reshape(-1, 2)
        corners = corners + rng.integers(-1, 2, corners.shape)
        cuts = np.concatenate([(x, y) - corners, corners + 41 - (x, y) - self.grid.tile], 1)
        cuts = np.clip(cuts, 0, 41)
        found = [
            (corner, *view(index, *cut))
            for corner, index, cut in zip(
                corners, self.shapes[lattice].ravel().tolist(), cuts.tolist(), strict=True
            )
        ]
        return self._table([f for f in found if f[3]], rng)

    def _table(self, found: list[Any], rng: np.random.Generator) -> CellTable:
        count, one = len(found), np.ones(len(found), np.float32)
        lengths = np.array([len(line) for _, line, _, _ in found], np.int64)
        corners = np.array([corner for corner, _, _, _ in found])
        lines = np.concatenate([line for _, line, _, _ in found])
        return CellTable(
            xy=corners + np.array([centre for _, _, centre, _ in found]),
            vertices=(lines + np.repeat(corners, lengths, 0)).astype(np.float32),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            tokens=self.tokens[rng.integers(0, POOL, count)],
            kind=np.ones(count, np.uint8),
            kind_probability=one,
            probability=one,
            area_um2=np.array([area for _, _, _, area in found], np.float32) / 16,
            flags=np.zeros(count, np.uint8),
        )


def make_section(rows: int, width: int) -> Section:
    """A slide of rows x rows tiles with tokens of a width."""
    rng = np.random.default_rng(0)
    grid = TileGrid((960 * rows, 960 * rows))
    shape_of_lattice = (960 * rows // STEP, 960 * rows // STEP)
    return Section(
        grid,
        rng.integers(2, STEP - 41 - 1, (*shape_of_lattice, 2)),
        rng.integers(0, SHAPES, shape_of_lattice),
        rng.normal(size=(POOL, width)).astype(np.float16),
    )


class Clock:
    """CPU seconds per name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def run(self, name: str, step: Callable[..., Any], *arguments: Any) -> Any:
        """What the step returns; its time is added to the name's."""
        start = time.process_time()
        result = step(*arguments)
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start
        return result


def merged(section: Section, clock: Clock) -> Iterator[CellTable]:
    """The cells of a slide, each once."""
    seams = SeamResolver(section.grid, section.tokens.shape[1])
    for row in range(section.grid.shape[0]):
        for column in range(section.grid.shape[1]):
            cells = clock.run("make up", section.tile, row, column)
            yield clock.run("merge", seams.add, cells, row, column)
        yield clock.run("merge", seams.finish_row, row)


def against_truth(section: Section, xy: NDArray[np.float64]) -> str:
    """How many nuclei are lost or doubled, and how far the others are off."""
    truth = section.centres()
    place = (xy // STEP).astype(np.int64)
    number = place[:, 1] * section.shapes.shape[1] + place[:, 0]
    times = np.bincount(number, minlength=len(truth))
    off = float(np.abs(xy - truth[number]).max())
    return (
        f"{len(truth):,} true, {int((times == 0).sum())} lost, "
        f"{int(np.maximum(times - 1, 0).sum())} doubled, farthest {off:.1f} px off"
    )


def ours(rows: int, width: int) -> None:
    """Merge and write a slide, and print what it took."""
    section = make_section(rows, width)
    list(merged(make_section(2, width), Clock()))  # compiles
    clock, places, start = Clock(), [], resident_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5"
        with write_dataset(path, width) as out:
            for cells in merged(section, clock):
                places.append(cells.xy)
                clock.run("write", out.append, cells)
            before = peak_mb() - start
            clock.run("write", out.finish, ("background", "cell"), {})
        size = path.stat().st_size / 1e6
    xy = np.concatenate(places)
    print(f"{len(xy):,} cells, tokens {width} float16: {against_truth(section, xy)}")
    print(f"merge {clock.spent['merge']:6.1f} CPU-s")
    print(f"write {clock.spent['write']:6.1f} CPU-s, {size:,.0f} MB")
    print(f"peak memory above start: {before:,.0f} MB to the end of merging, ", end="")
    print(f"{peak_mb() - start:,.0f} MB with finishing the file")


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def straightforward(rows: int) -> None:
    """Ours and the way with polygons on the same cells."""
    try:
        shapely: Any = importlib.import_module("shapely")
    except ModuleNotFoundError:
        print("straightforward merging: not measured, shapely is not installed")
        return
    section, clock = make_section(rows, 8), Clock()
    count = sum(len(cells) for cells in merged(section, clock))
    tiles = [(section.grid.corner(*at), section.tile(*at)) for at in np.ndindex(rows, rows)]
    left = clock.run("polygons", with_polygons, shapely, tiles)
    spent = clock.spent["polygons"], clock.spent["merge"]
    print(f"of {count:,} true: straightforward {left:,} cells, {spent[0]:.1f} CPU-s; ", end="")
    print(f"ours {count:,} cells, {spent[1]:.2f} CPU-s; ratio {spent[0] / spent[1]:.0f}")


def with_polygons(shapely: Any, tiles: list[tuple[tuple[int, int], CellTable]]) -> int:
    """Number of cells left after cleaning those in the tiles' margins as polygons in a tree."""
    inner, left = 0, []
    for corner, cells in tiles:
        for i in range(len(cells)):
            line = cells.contour(i) - np.array(corner)
            low, high = line.min(), line.max()
            if low >= 64 and high <= 960:
                inner += 1
            elif low >= 1 and high <= 1023:  # what touches the border is dropped
                left.append(shapely.Polygon(cells.contour(i)).buffer(0))
    for _ in range(20):
        kept = one_round(shapely, left)
        if len(kept) == len(left):
            break
        left = kept
    return inner + len(left)


def one_round(shapely: Any, polygons: list[Any]) -> list[Any]:
    """Of each polygon and its overlapping neighbours the largest neighbour."""
    tree, seen, kept = shapely.STRtree(polygons), set[int](), []
    for i, polygon in enumerate(polygons):
        if i in seen:
            continue
        seen.add(i)
        others = [int(j) for j in tree.query(polygon) if int(j) not in seen]
        same = [j for j in others if _overlap(polygon, polygons[j]) > 0.01]
        seen.update(same)
        kept.append(max((polygons[j] for j in same), key=_area) if same else polygon)
    return kept


def _area(polygon: Any) -> float:
    return float(polygon.area)


def _overlap(a: Any, b: Any) -> float:
    return float(a.intersection(b).area) / max(1e-9, min(_area(a), _area(b)))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--reference-rows", type=int, default=6)
    arguments = parsed(parser, rows=3, reference_rows=2)
    ours(arguments.rows, arguments.width)
    straightforward(arguments.reference_rows)


if __name__ == "__main__":
    main()
