"""Speed and memory of moving a mask's labels onto nuclei.

    python benchmarks/transfer.py [--side 50000] [--nuclei 1000000] [--tiles 10] [--folder DIR]

First a whole slide: a mask of 0 and 1 is written as a tiled, compressed TIFF, and the overlap of
every nucleus with it is counted, the mask being read region by region. Memory is what the process
holds more than before, so without the contours. Then single tiles of 984 px with 400 nuclei, as
SegPath has them, beside the published way: for each nucleus an image of the tile's size, in which
its contour is filled and counted. Both must give the same labels.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from merging import outline, shape
from numpy.typing import NDArray
from tiny import parsed

from regdata.cells.table import CellTable
from regdata.labelling.measuring.mask_overlap import mask_overlaps
from regdata.labelling.rules.mask_labels import transfer
from regdata.labelling.rules.overlap_rule import OVERLAP, LabelRule
from regdata.slides.open import open_slide

SHAPES = 64
TILE, CELLS = 984, 400
PAGE = 512  # px a side of a tile of the file


def nuclei(count: int, side: int, seed: int) -> CellTable:
    """Nuclei on a jittered lattice over a square, their contours as a network's are."""
    rng = np.random.default_rng(seed)
    contours = [outline(shape(i)) - 0.5 - 20 for i in range(SHAPES)]
    lengths = np.array([len(contour) for contour in contours])
    across = int(np.ceil(np.sqrt(count)))
    pitch = side / across
    place = np.stack(np.divmod(np.arange(count), across)[::-1], -1)
    xy = np.floor((place + rng.uniform(0.25, 0.75, (count, 2))) * pitch) + 0.5
    kind = rng.integers(0, SHAPES, count)
    offsets = np.concatenate([[0], np.cumsum(lengths[kind])])
    starts = np.cumsum(lengths) - lengths
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths[kind])
    vertices = np.concatenate(contours)[np.repeat(starts[kind], lengths[kind]) + within]
    vertices += np.repeat(xy, lengths[kind], axis=0).astype(np.float32)
    number = np.zeros(count, np.float32)
    flag = np.zeros(count, np.uint8)
    tokens = np.zeros((count, 0), np.float16)
    return CellTable(
        xy=xy,
        vertices=vertices,
        offsets=offsets,
        tokens=tokens,
        kind=flag,
        kind_probability=number,
        probability=number,
        area_um2=number,
        flags=flag,
    )


def blobs(side: int, seed: int) -> NDArray[np.uint8]:
    """A mask whose patches are about as large as cells."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 8)
    return (noise > 0.5 * noise.std()).astype(np.uint8)


def write_mask(path: Path, side: int) -> None:
    """A mask of any size, its pages cut from one field at random places."""
    field, rng = blobs(4096, 0), np.random.default_rng(1)
    count = int(np.ceil(side / PAGE)) ** 2

    def pages() -> Iterator[NDArray[np.uint8]]:
        for x, y in rng.integers(0, len(field) - PAGE, (count, 2)).tolist():
            yield np.ascontiguousarray(field[y : y + PAGE, x : x + PAGE])

    with tifffile.TiffWriter(path, bigtiff=True) as out:
        out.write(
            pages(),
            shape=(side, side),
            dtype=np.uint8,
            tile=(PAGE, PAGE),
            compression="deflate",
            photometric="minisblack",
        )


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Seconds, CPU seconds and growth of the memory, MiB, of what runs inside."""
    out: dict[str, float] = {}
    before, done = resident(), threading.Event()
    most = [before]

    def watch() -> None:
        while not done.wait(0.02):
            most.append(max(most.pop(), resident()))

    thread = threading.Thread(target=watch)
    thread.start()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        yield out
    finally:
        out["seconds"] = time.perf_counter() - start
        out["cpu"] = time.process_time() - cpu
        done.set()
        thread.join()
        out["mib"] = max(most[0], resident()) - before


def resident() -> float:
    """Memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def slide_row(folder: Path, side: int, count: int) -> dict[str, float]:
    """A mask on disk and all nuclei of a slide."""
    path = folder / "mask.tif"
    write_mask(path, side)
    cells, slide = nuclei(count, side, 2), open_slide(path)

    def stained(corner: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
        return np.asarray(slide.read(corner, size)[0] > 0)

    mask_overlaps(cells.take(np.arange(100)), stained, 1.0)  # compiled before it is timed
    with watched() as found:
        share = mask_overlaps(cells, stained, 1.0)
    found["positive"] = float((share > OVERLAP).mean())
    found["contours"] = cells.vertices.nbytes / 2**20
    found["file"] = path.stat().st_size / 2**20
    return found


def published(contours: list[NDArray[np.int32]], mask: NDArray[np.uint8]) -> list[bool]:
    """Labels by an image of the tile's size for each contour."""
    out = []
    for contour in contours:
        image = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(image, [contour], 1)
        out.append(bool((image * mask).sum() / image.sum() >= OVERLAP))
    return out


def tile_row(tiles: int) -> dict[str, Any]:
    """Tiles one by one, ours and the published way."""
    ours = theirs = 0.0
    same = True
    for seed in range(tiles + 1):
        cells = nuclei(CELLS, TILE, seed)
        index = np.rint(cells.vertices - 0.5).astype(np.int32)
        contours = np.split(index, cells.offsets[1:-1])
        mask = blobs(TILE, seed)
        start = time.perf_counter()
        positive, _ = transfer(index, cells.offsets, mask, LabelRule(legacy=True))
        between = time.perf_counter()
        expected = published(contours, mask)
        end = time.perf_counter()
        if seed:  # the first compiles
            ours, theirs = ours + between - start, theirs + end - between
        same = same and positive.tolist() == expected
    return {"ours": 1e3 * ours / tiles, "published": 1e3 * theirs / tiles, "same": same}


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=50_000)
    parser.add_argument("--nuclei", type=int, default=1_000_000)
    parser.add_argument("--tiles", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="Where the mask is written; a temporary one.")
    asked = parsed(parser, side=2000, nuclei=500, tiles=1)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        whole = slide_row(Path(folder), asked.side, asked.nuclei)
    tile = tile_row(asked.tiles)
    print("| nuclei | mask, px | seconds | CPU s | memory, MiB | contours, MiB | positive |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {asked.nuclei:,} | {asked.side:,} ({whole['file']:.0f} MiB) | {whole['seconds']:.1f} | "
        f"{whole['cpu']:.1f} | {whole['mib']:.0f} | {whole['contours']:.0f} | "
        f"{whole['positive']:.1%} |"
    )
    print("\n| a tile of 984 px, 400 nuclei | ms | times faster | same labels |")
    print("|---|---|---|---|")
    print(f"| published | {tile['published']:.1f} | 1 | |")
    print(
        f"| ours | {tile['ours']:.2f} | {tile['published'] / tile['ours']:.0f} | {tile['same']} |"
    )


if __name__ == "__main__":
    main()
