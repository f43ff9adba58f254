"""Whole slides with a network that sees nuclei by their colour, so that the truth is exact."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coloured import HEMATOXYLIN, MODEL, ByColour, slide_of, with_discs
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import TINY
from PIL import Image
from scipy.spatial import cKDTree

from regdata.cells.table import BLURRED, EDGE, PEN, CellTable, concatenate
from regdata.cellvit.networks.config import VitEncoder
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.weights import Model, fast_precision
from regdata.cellvit.tiles.inference import predict
from regdata.cellvit.tiles.journal import Journal
from regdata.cellvit.tiles.plan import Tiling
from regdata.cellvit.tiles.stream import BatchRunner, Resources
from regdata.cellvit.tiles.whole_slide import Segmentation, SegmentSettings, segment, segment_image
from regdata.errors import RegdataError
from regdata.slides.read_openslide import openslide_slide
from regdata.slides.slide import Box

SMALL = SegmentSettings(Tiling(tile=256, overlap=64))


def test_discs_are_found_once_wherever_they_lie() -> None:
    step = 37.0  # no divisor of the stride, so that seams cut discs everywhere
    xy = np.stack(np.meshgrid(np.arange(20, 700, step), np.arange(20, 500, step)), -1)
    xy = xy.reshape(-1, 2)
    cells = segment_image(with_discs((720, 520), xy, 10), MODEL, SMALL)
    assert len(cells) == len(xy)
    distance, partner = cKDTree(cells.xy).query(xy)
    assert distance.max() < 0.6
    assert len(set(partner.tolist())) == len(xy)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.2, 0.325])
def test_positions_are_level_0_pixels_at_any_resolution(mpp: float) -> None:
    xy_um = np.array([[30.0, 20.0], [100.0, 60.0], [60.0, 95.0]])
    size = (round(130 / mpp), round(110 / mpp))
    rows, columns = np.indices((size[1], size[0])) + 0.5
    rgb = np.full((size[1], size[0], 3), 255, np.uint8)
    for x, y in xy_um / mpp:
        rgb[(columns - x) ** 2 + (rows - y) ** 2 < (4 / mpp) ** 2] = 0
    cells = segment_image(slide_of(rgb, mpp), MODEL, SMALL)
    distance, _ = cKDTree(cells.xy * mpp).query(xy_um)
    assert len(cells) == 3
    assert distance.max() < 0.2  # µm
    assert np.allclose(cells.area_um2, np.pi * 16, rtol=0.15)


def test_one_row_and_one_column_slides() -> None:
    for size in ((900, 60), (60, 900)):
        xy = np.array([[30.0, 30.0], [size[0] - 30.0, size[1] - 30.0]])
        cells = segment_image(with_discs(size, xy, 10), MODEL, SMALL)
        assert np.abs(np.sort(cells.xy, 0) - np.sort(xy, 0)).max() < 0.6


def test_cut_nuclei_are_flagged() -> None:
    cells = segment_image(with_discs((300, 200), np.array([[2.0, 90.0], [150, 90]]), 10), MODEL)
    flagged = dict(zip(np.round(cells.xy[:, 0]).astype(int).tolist(), cells.flags, strict=True))
    assert {x: bool(flag & EDGE) for x, flag in flagged.items()} == {150: False, min(flagged): True}


def test_tiles_without_tissue_are_not_read() -> None:
    xy = np.array([[100.0, 100.0], [600.0, 400.0]])
    slide = with_discs((720, 520), xy, 10)
    tissue = np.zeros((52, 72), bool)
    tissue[:20, :20] = True
    cells = [c for part in segment(slide, MODEL, tissue, SMALL) for c in part.xy.tolist()]
    assert np.abs(np.array(cells) - xy[:1]).max() < 0.6


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    slide = with_discs((720, 520), np.array([[100.0, 100.0]]), 10)
    list(segment(slide, MODEL, settings=SMALL, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_network_shapes_and_padding() -> None:
    torch.manual_seed(0)
    model = Model(CellViT(TINY).eval(), "0", torch.device("cpu"))
    maps = predict(model, np.zeros((100, 70, 3), np.uint8))
    assert maps.nucleus.shape == (100, 70)
    assert maps.hv.shape == (2, 100, 70)
    assert maps.kinds.shape == (5, 100, 70)
    assert np.allclose(maps.kinds.sum(0), 1, atol=1e-2)
    assert maps.tokens.shape == (32, 7, 5)


def test_windows_see_what_crops_see() -> None:
    """A window of a large image gives the tokens that the same crop alone gives."""
    torch.manual_seed(0)
    encoder = CellViT(TINY).eval().encoder
    image = torch.randn(1, 3, 512, 768)
    alone = torch.full_like(image, 0.3)  # what lies beyond the window must not matter, but for
    alone[..., 224:, 480:] = image[..., 224:, 480:]  # the reach of the stem's convolutions
    with torch.inference_mode():
        whole, crop = encoder(image).tokens, encoder(alone).tokens
    assert torch.allclose(whole[:, :, 16:32, 32:48], crop[:, :, 16:32, 32:48], atol=1e-5)
    assert not torch.allclose(whole[:, :, :16, :16], crop[:, :, :16, :16], atol=1e-4)


def test_precision_is_a_type_of_torch() -> None:
    assert fast_precision(torch.device("cpu")) in (torch.bfloat16, torch.float32)


def grid_of_discs(size: tuple[int, int], step: float = 37.0) -> np.ndarray:
    """Centres of discs, (N, 2); the step divides no stride, so that seams cut discs everywhere."""
    axes = (np.arange(20, size[0] - 20, step), np.arange(20, size[1] - 20, step))
    return np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)


DISCS = with_discs((720, 520), grid_of_discs((720, 520)), 10)


def same(a: CellTable, b: CellTable) -> bool:
    names = ("xy", "vertices", "offsets", "tokens", "kind", "probability", "area_um2", "flags")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def in_order(cells: CellTable) -> CellTable:
    """By position: cells at seams come later than others of their tile."""
    return cells.take(np.lexsort(cells.xy.T))


def all_cells(run: Segmentation) -> CellTable:
    return concatenate(list(run.cells()), 1)


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("workers", [1, 4])
def test_cells_do_not_depend_on_batches_and_threads(batch: int, workers: int) -> None:
    run = Segmentation(DISCS, MODEL, settings=SMALL, resources=Resources(batch, workers))
    assert same(all_cells(run), segment_image(DISCS, MODEL, SMALL))
    assert [tile.place for tile in run.tiles] == list(run.plan.tiles)


@given(st.integers(0, 3), st.integers(0, 2))
@settings(max_examples=6, deadline=None)
def test_shifted_by_whole_tiles_the_cells_are_the_same(right: int, down: int) -> None:
    """White added at the left and the top, as much as the tiles' stride, moves every cell by it."""
    stride = 256 - 64
    rgb = DISCS.read_rgb((0, 0), DISCS.size)
    pad = ((down * stride, 0), (right * stride, 0), (0, 0))
    moved = segment_image(slide_of(np.pad(rgb, pad, constant_values=255)), MODEL, SMALL)
    still = segment_image(DISCS, MODEL, SMALL)
    move = (right * stride, down * stride)
    moved, still = in_order(moved), in_order(still)
    assert np.array_equal(moved.xy, still.xy + move)
    assert np.array_equal(moved.vertices, still.vertices + np.float32(move))


def test_a_region_holds_what_the_whole_slide_has_there() -> None:
    region = Box(150, 170, 300, 190)
    settings = SegmentSettings(Tiling(tile=256, overlap=64, region=region))
    part, whole = segment_image(DISCS, MODEL, settings), segment_image(DISCS, MODEL, SMALL)
    inside = np.all((whole.xy >= [150, 170]) & (whole.xy < [450, 360]), axis=1)
    assert 20 < inside.sum() < len(whole)
    assert same(in_order(part), in_order(whole.take(inside)))


def test_a_region_off_the_slide_is_refused() -> None:
    settings = SegmentSettings(Tiling(region=Box(5000, 0, 10, 10)))
    with pytest.raises(RegdataError, match=r"region inside x\.tif \(720 x 520 px\)"):
        segment_image(DISCS, MODEL, settings)


def test_a_slide_too_coarse_for_the_network_is_refused() -> None:
    with pytest.raises(RegdataError, match=r"at most 0\.75 µm per pixel .* has 2"):
        segment_image(slide_of(np.zeros((50, 50, 3), np.uint8), 2.0), MODEL)


class Scanned:
    """Stands in for OpenSlide: a scan that begins at a bounds offset, with a coarse level."""

    def __init__(self, path: Path) -> None:
        self.rgb = np.asarray(Image.open(path))
        height, width = self.rgb.shape[:2]
        self.level_dimensions = ((width, height), (width // 4, height // 4))
        self.level_downsamples = (1.0, 4.0)
        self.properties = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}
        self.properties |= {"openslide.bounds-x": "96", "openslide.bounds-y": "64"}

    def read_region(self, at: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        k = 4**level
        part = self.rgb[at[1] : at[1] + size[1] * k : k, at[0] : at[0] + size[0] * k : k]
        return Image.fromarray(part).convert("RGBA")


def test_bounds_of_a_scan_do_not_move_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published code leaves them out, and every cell of such a slide is off by them."""
    rgb = DISCS.read_rgb((0, 0), DISCS.size).copy()
    rgb[:, :96] = rgb[:64] = 255
    Image.fromarray(rgb).save(tmp_path / "x.png")
    monkeypatch.setattr("openslide.OpenSlide", Scanned)
    scanned = segment_image(openslide_slide(tmp_path / "x.png"), MODEL, SMALL)
    assert same(scanned, segment_image(slide_of(rgb), MODEL, SMALL))


def test_bad_tiles_are_flagged_or_left_out() -> None:
    rgb = DISCS.read_rgb((0, 0), DISCS.size).copy()
    rgb[:190, :190][rgb[:190, :190, 0] > 128] = (30, 40, 220)  # a blue pen
    marked = Segmentation(slide_of(rgb), MODEL, settings=SMALL)
    cells = all_cells(marked)
    flagged = (cells.flags & PEN) > 0
    assert flagged[np.all(cells.xy < 150, axis=1)].all()
    assert not flagged[np.all(cells.xy > 260, axis=1)].any()
    assert marked.tiles[0].quality.pen > 0.4
    skipping = SegmentSettings(Tiling(tile=256, overlap=64), skip_bad=True)
    left = Segmentation(slide_of(rgb), MODEL, settings=skipping)
    kept = all_cells(left)
    assert left.tiles[0].skipped
    assert not (kept.flags & (PEN | BLURRED)).any()
    assert not np.all(kept.xy < 150, axis=1).any()


class Forgetful(ByColour):
    """Has memory for two tiles at once only."""

    limit = 2

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(image) > self.limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(image)


def test_too_little_gpu_memory_halves_the_batch_and_goes_on() -> None:
    network: Any = Forgetful()
    model = Model(network, "0", torch.device("cpu"))
    runner = BatchRunner(model, 16)
    images = [np.full((64, 64, 3), k, np.uint8) for k in range(11)]
    assert len(runner(images)) == 11
    assert runner.size == 2
    network.limit = 0
    with pytest.raises(RegdataError, match=r"too little memory .* `device='cpu'`"):
        runner(images)


class Counting(ByColour):
    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += len(image)
        return super().forward(image)


@pytest.mark.parametrize("broken_after", [0, 1, 5, 11])
def test_a_broken_run_goes_on_from_its_journal(broken_after: int, tmp_path: Path) -> None:
    network: Any = Counting()
    model = Model(network, "0", torch.device("cpu"))
    path = tmp_path / "x.journal"
    with Journal.open(path, "key", 1) as journal:
        run = Segmentation(DISCS, model, settings=SMALL, journal=journal)
        stream = run.cells()
        while len(run.tiles) < broken_after:
            next(stream)
        stream.close()
    before = network.seen
    with Journal.open(path, "key", 1) as journal:
        done = len(journal.tiles)
        run = Segmentation(DISCS, model, settings=SMALL, journal=journal)
        cells = all_cells(run)
    assert broken_after <= done <= before
    assert network.seen - before == len(run.plan.tiles) - done
    assert same(cells, segment_image(DISCS, MODEL, SMALL))
    assert [tile.cells for tile in run.tiles] == [tile.cells for tile in fresh_tiles()]


def fresh_tiles() -> list[Any]:
    run = Segmentation(DISCS, MODEL, settings=SMALL)
    all_cells(run)
    return run.tiles


def test_nothing_on_an_empty_slide_and_without_tissue() -> None:
    white = slide_of(np.full((300, 300, 3), 255, np.uint8))
    assert len(segment_image(white, MODEL, SMALL)) == 0
    nowhere = np.zeros((30, 30), bool)
    run = Segmentation(DISCS, MODEL, nowhere, SMALL)
    assert len(all_cells(run)) == 0
    assert run.tiles == []


def test_a_nucleus_that_touches_opposite_sides_of_its_tile_is_kept() -> None:
    """The published code drops it, or stops."""
    rgb = np.full((120, 300, 3), 255, np.uint8)
    rgb[50:64, 45:147] = HEMATOXYLIN
    settings = SegmentSettings(Tiling(tile=96, overlap=32))  # one tile shows columns 48 to 144
    cells = segment_image(slide_of(rgb), MODEL, settings)
    assert len(cells) == 1
    assert np.ptp(cells.vertices[:, 0]) > 90


@pytest.mark.parametrize(("side", "patch"), [(256, 256 / 18), (1024, 1024 / 73)])
def test_tokens_of_a_network_that_shrinks_its_input_lie_where_the_image_has_them(
    side: int, patch: float
) -> None:
    """The published whole-slide code leaves out the 1022 / 1024."""
    encoder = VitEncoder(
        width=8, depth=4, heads=2, patch=14, image=28, taps=(1, 2, 3, 4), whole_patches=True
    )
    skips = ((4, 4, 4), (8, 8), (8,))
    decoder = TINY.decoder.model_copy(update={"skips": skips})
    network = CellViT(TINY.model_copy(update={"encoder": encoder, "decoder": decoder})).eval()
    maps = predict(Model(network, "0", torch.device("cpu")), np.zeros((side, side, 3), np.uint8))
    assert maps.nucleus.shape == (side, side)
    assert maps.patch == pytest.approx(patch)


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from coloured import stamped, STAMPED
from regdata.cellvit.tiles.whole_slide import Segmentation
from regdata.cells.dataset import write_dataset

def run(side):
    count = 0
    with write_dataset(Path({folder!r}) / "cells.h5", 1) as out:
        for cells in Segmentation(stamped(side), STAMPED).cells():
            out.append(cells)
            count += len(cells)
        out.finish(("background", "cell"))
    status = Path("/proc/self/status").read_text()
    return count, status.split("VmHWM:")[1].split()[0]

small = run(4000)
print(*small, *run({side}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    """20,000 x 20,000 px (1.2 GB of pixels) in what 4,000 x 4,000 take, and a little.

    Before freed memory was given back, it grew by 10 MB per tile, of which there are 441. The
    peak is that of /proc: the one of getrusage is the parent's, when that was higher.
    """
    side = 20_000
    tests = str(Path(__file__).parents[2])
    code = MEMORY.format(tests=tests, side=side, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, small, many, large = map(int, done.stdout.split())
    assert few == (4000 // 100) ** 2
    assert many == (side // 100) ** 2
    assert large - small < 400_000  # KiB
    assert large < 2_000_000
