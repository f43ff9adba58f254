"""What segmentation costs: the forward pass, memory on slides of any size, tiles per second.

    python benchmarks/segment.py [vit256 vit256-bf16 bf16-nuclei default memory pipeline ...]
        [--repeat 3] [--tile 1024] [--sides 10000 100000] [--threads 2]

Prints a table of the named rows, by default of all. Seconds are CPU seconds of all threads
together. Post-processing alone is in postprocessing.py, merging alone in merging.py.

The slides of `memory` and `pipeline` are made up where they are read: ellipses whose colours say
how far a pixel lies from its nucleus's centre, so that a network that costs next to nothing reads
masks and HV maps off them, and the truth is known. `memory` runs a slide of each size in a process
of its own, with a journal, into an .h5; peaks are above what the process held after imports and
another slide. `pipeline` reads a tiled JPEG TIFF: the network under test runs in full, then its
masks and HV maps are replaced by those in the colours, since made-up weights find no nuclei.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from reference_forward import (
    Row,
    bf16_row,
    default_rows,
    model_with_made_up_weights,
    share_of_matrix_rate,
    vit256_rows,
)
from scipy import ndimage
from tiny import parsed
from torch import Tensor
from torch.nn.functional import avg_pool2d

from regdata.cells.dataset import write_dataset
from regdata.cellvit.networks.config import CellViTConfig
from regdata.cellvit.networks.weights import Model, load_model
from regdata.cellvit.tiles.inference import predict_batch
from regdata.cellvit.tiles.journal import Journal
from regdata.cellvit.tiles.stream import BatchRunner, Resources
from regdata.cellvit.tiles.whole_slide import Segmentation
from regdata.slides.open import open_slide
from regdata.slides.slide import Box, Slide
from regdata.slides.write_tiff import write_ome_tiff
from regdata.train.segmentation.targets import hv_map

Image = NDArray[np.uint8]
TILE, STRIDE = 1024, 960
LIMIT = 6000
"""MB above start from where on a slide is given up."""


@dataclass(frozen=True)
class Pattern:
    """A square that a slide repeats; its side is no divisor of the tiles' stride.

    Attributes
    ----------
    rgb
        (3, side, side); red is dark in nuclei, green and blue are the HV maps from -1 to 1.
    centres
        (cells, cells, 2) centroids of the nuclei, one in each cell of a lattice.
    step
        Side of a cell.
    """

    rgb: Image
    centres: NDArray[np.float64]
    step: int

    def crop(self, x: int, y: int, w: int, h: int) -> Image:
        """(3, h, w) of the endless plane."""
        side = self.rgb.shape[1]
        rows, columns = np.arange(y, y + h) % side, np.arange(x, x + w) % side
        return np.asarray(self.rgb.take(rows, 1).take(columns, 2))

    def slide(self, side: int) -> Slide:
        """A slide at 0.25 µm/px of which nothing is held."""

        def pixels(level: int, box: Box, channels: tuple[int, ...]) -> Image:
            return self.crop(box.x, box.y, box.w, box.h)

        colours = ("red", "green", "blue")
        return Slide(
            Path("made-up.tif"), ((side, side),), 0.25, colours, np.dtype(np.uint8), pixels
        )

    def judge(self, xy: NDArray[np.float64], side: int) -> str:
        """How many of a slide's nuclei were found, lost and doubled."""
        across, cells = side // self.step, len(self.centres)
        place = (xy // self.step).astype(np.int64)
        times = np.bincount(place[:, 1] * across + place[:, 0], minlength=across**2)
        truth = self.centres[place[:, 1] % cells, place[:, 0] % cells]
        off = np.abs(xy - truth - place // cells * (cells * self.step)).max()
        lost, doubled = int((times == 0).sum()), int(np.maximum(times - 1, 0).sum())
        return (
            f"{len(xy):,} of {across**2:,} nuclei, {lost} lost, {doubled} doubled, "
            f"at most {off:.1f} px off"
        )


def make_pattern(step: int, cells: int = 13) -> Pattern:
    """Ellipses of 9-16 x 6-11 px (semi-axes), one in each lattice cell, wholly inside it."""
    rng = np.random.default_rng(0)
    labels = np.zeros((cells * step, cells * step), np.int32)
    for i in range(cells**2):
        corner = np.array((i % cells, i // cells)) * step
        x, y = (corner + rng.uniform(18, step - 18, 2)).round().astype(int).tolist()
        axes = (int(rng.integers(9, 17)), int(rng.integers(6, 12)))
        cv2.ellipse(labels, (x, y), axes, rng.uniform(0, 180), 0, 360, i + 1, -1)
    glass = rng.normal(215, 12, (3, *labels.shape)).clip(160, 255)
    marks = np.concatenate([np.full((1, *labels.shape), -0.8), hv_map(labels)])
    rgb = np.where(labels > 0, ((marks + 1) * 127.5).round(), glass).astype(np.uint8)
    centres = ndimage.center_of_mass(labels > 0, labels, np.arange(1, cells**2 + 1))
    return Pattern(rgb, np.array(centres)[:, ::-1].reshape(cells, cells, 2) + 0.5, step)


class ByColour(torch.nn.Module):
    """Reads masks and HV maps off the colours of a `Pattern`, after running a network if any."""

    def __init__(self, network: torch.nn.Module | None, config: CellViTConfig) -> None:
        super().__init__()
        self.network, self.config = network, config

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The network's outputs, with mask and HV maps as the colours say."""
        logits = torch.cat([image[:, :1], -image[:, :1]], 1) * 16
        known = {"nuclei_binary_map": logits, "hv_map": image[:, 1:]}
        if self.network is not None:
            return {**self.network(image), **known}
        tokens = avg_pool2d(image[:, :1], 16).expand(-1, self.config.token_width, -1, -1)
        return {**known, "nuclei_type_map": logits, "tokens": tokens}


def seeing_colours(model: Model, run_it: bool) -> Model:
    """The model, its masks and HV maps replaced; normalised so that colours are -1..1."""
    half = (0.5, 0.5, 0.5)
    config = model.config.model_copy(update={"mean": half, "std": half})
    network = ByColour(model.network if run_it else None, config)
    return replace(model, network=network)  # type: ignore[arg-type]


def memory_field(name: str) -> float:
    """A field of /proc/self/status in MB; VmHWM is the peak of VmRSS."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def write_slide(pattern: Pattern, side: int, folder: Path) -> tuple[Path, dict[str, float]]:
    """Segment a made-up slide into an .h5, and the peaks of memory (MB) and time it took."""
    model = seeing_colours(load_model(device="cpu", exact=True), run_it=False)
    width = model.config.token_width
    path, start = folder / f"{side}.h5", time.perf_counter()
    with Journal.create(folder / f"{side}.tiles", "x", width) as journal:
        run = Segmentation(pattern.slide(side), model, journal=journal)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = memory_field("VmRSS")
        with write_dataset(path, width) as out:
            for cells in run.cells():
                out.append(cells)
                if memory_field("VmRSS") > before + LIMIT:
                    raise SystemExit(f"stopped: {LIMIT:,} MB more after {len(run.tiles)} tiles")
            streamed = memory_field("VmHWM")
            out.finish(model.config.classes)
    told = {"before": before, "streamed": streamed, "finished": memory_field("VmHWM")}
    return path, {**told, "tiles": len(run.tiles), "seconds": time.perf_counter() - start}


def measure_memory(side: int) -> None:
    """Print as JSON what one slide takes; meant for a process of its own."""
    torch.set_grad_enabled(False)
    pattern = make_pattern(125)
    with tempfile.TemporaryDirectory() as folder:
        write_slide(pattern, 2500, Path(folder))
        path, told = write_slide(pattern, side, Path(folder))
        with h5py.File(path) as file:
            found = pattern.judge(file["obsm/spatial"][:], side)
    sys.stdout.write(json.dumps({**told, "found": found}))


def memory_rows(sides: list[int]) -> list[Row]:
    """Peak memory of slides of growing size, against that of the first."""
    rows: list[Row] = []
    first: dict[str, float] = {}
    for side in sides:
        command = [sys.executable, __file__, "--measure", str(side)]
        what, must = f"memory, slide of {side:,} x {side:,} px", "1.2 x" if rows else "-"
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            rows.append((what, must, done.stderr.strip().splitlines()[-1]))
            continue
        told = json.loads(done.stdout)
        first = first or told
        grown = told["finished"] - told["before"], first["finished"] - first["before"]
        rows.append(
            (
                what,
                must,
                f"peak {told['finished']:,.0f} MB = {told['finished'] / first['finished']:.2f} x; "
                f"above start {told['streamed'] - told['before']:,.0f} MB to the last tile, "
                f"{grown[0]:,.0f} MB with finishing the file = {grown[0] / grown[1]:.2f} x; "
                f"{told['tiles']:,} tiles, {told['seconds'] / told['tiles'] * 1e3:.0f} ms each; "
                f"{told['found']}",
            )
        )
    return rows


def tiles_per_second(model: Model, path: Path, across: int) -> tuple[float, float]:
    """From a TIFF to merged cells, and of the forward pass alone on tiles in memory."""
    resources = Resources(workers=max(2, (os.cpu_count() or 2) // 2))
    slide = open_slide(path)
    size = BatchRunner(model, resources.batch).size
    rgb = [slide.read_rgb((STRIDE * i, STRIDE * i), (TILE, TILE)) for i in range(size)]
    predict_batch(model, rgb)
    start = time.perf_counter()
    run = Segmentation(slide, model, resources=resources)
    cells = sum(len(part) for part in run.cells())
    whole = len(run.tiles) / (time.perf_counter() - start)
    if cells < across**2:
        raise SystemExit(f"{cells} nuclei on {path}: this measures nothing")
    start, batches = time.perf_counter(), max(1, across**2 // size)
    for _ in range(batches):
        maps = predict_batch(model, rgb)
    float(maps[0].nucleus[0, 0])  # waits for a GPU
    return whole, batches * size / (time.perf_counter() - start)


def pipeline_rows() -> list[Row]:
    """Tiles per second end to end against the forward pass alone."""
    gpu = torch.cuda.is_available()
    across = 20 if gpu else 4
    device = torch.cuda.get_device_name() if gpu else "CPU"
    models = {"built-in": partial(load_model, exact=False)}
    if gpu:
        for name in ("vit256", "sam_h"):
            models[name] = partial(model_with_made_up_weights, name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        rgb = make_pattern(60).crop(0, 0, across * STRIDE, across * STRIDE).transpose(1, 2, 0)
        write_ome_tiff(path, np.ascontiguousarray(rgb), 0.25, pyramid=False, jpeg=True)
        for name, load in models.items():
            model = seeing_colours(load(), run_it=True)
            whole, alone = tiles_per_second(model, path, across)
            told = f"{whole:.2f} tiles/s, forward alone {alone:.2f}: {whole / alone:.0%}"
            told += share_of_matrix_rate(model, TILE, alone) if gpu else ""
            must = "85 %" + (", 35 % of the matrix rate" if name == "sam_h" else "")
            rows.append((f"pipeline, {name}, {device}", must if gpu else "-", told))
    if not gpu:
        rows += [
            ("pipeline, ViT-256, GPU", "85 %", "not measured (no GPU)"),
            ("pipeline, SAM-H, GPU", "85 %, 35 % of the matrix rate", "not measured (no GPU)"),
        ]
    return rows


def main() -> None:
    """Print a table."""
    names = ("vit256", "vit256-bf16", "bf16-nuclei", "default", "memory", "pipeline")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=names, metavar="|".join(names))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tile", type=int, default=TILE)
    parser.add_argument("--sides", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = parsed(parser, rows=["default", "memory"], repeat=1, tile=256, sides=[2000])
    torch.set_num_threads(asked.threads)
    if asked.measure:
        measure_memory(asked.measure)
        return
    forward = [name for name in names[:2] if name in asked.rows]
    steps = {
        "vit256": lambda: vit256_rows(forward, asked.tile, asked.repeat) if forward else [],
        "bf16-nuclei": lambda: [bf16_row()],
        "default": lambda: default_rows(asked.tile, asked.repeat),
        "memory": lambda: memory_rows(asked.sides),
        "pipeline": pipeline_rows,
    }
    print(f"torch {torch.__version__}, {asked.threads} threads")
    print("| what | must | measured |\n|---|---|---|")
    for name, step in steps.items():
        if name in asked.rows or name == "vit256":
            for row in step():
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
