"""Nuclei that several tiles see; the tiles' detector is perfect: a planted map, cut to the tile."""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cells.table import CellTable, concatenate
from regdata.cellvit.tiles.overlap import overlapping
from regdata.cellvit.tiles.seams import SEAM, SeamResolver, TileGrid
from regdata.errors import RegdataError

Labels = NDArray[np.int32]
At = tuple[int, int]
Nucleus = tuple[tuple[float, float], bytes]


def cells_of(masks: Iterable[tuple[NDArray[np.bool_], tuple[int, int]]]) -> CellTable:
    """Masks, each with the (x, y) of its top-left pixel, as cells."""
    masks = list(masks)
    lines, xy = [], []
    for mask, corner in masks:
        found, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        lines.append(max(found, key=len)[:, 0] + np.array(corner) + 0.5)
        xy.append(np.argwhere(mask)[:, ::-1].mean(0) + np.array(corner) + 0.5)
    count, one = len(masks), np.ones(len(masks), np.float32)
    return CellTable(
        xy=np.array(xy).reshape(-1, 2),
        vertices=np.concatenate([np.zeros((0, 2)), *lines]).astype(np.float32),
        offsets=np.cumsum([0, *map(len, lines)]),
        tokens=np.array(xy, np.float16).reshape(-1, 2),
        kind=np.ones(count, np.uint8),
        kind_probability=one,
        probability=one,
        area_um2=one,
        flags=np.zeros(count, np.uint8),
    )


def cut_to(grid: TileGrid, at: At, mask: NDArray[np.bool_], corner: At) -> CellTable:
    """What a tile sees of one nucleus."""
    x, y = grid.corner(*at)
    left, top = max(0, x - corner[0]), max(0, y - corner[1])
    seen = mask[top : max(0, y + grid.tile - corner[1]), left : max(0, x + grid.tile - corner[0])]
    return cells_of([(seen, (corner[0] + left, corner[1] + top))] if seen.any() else [])


def crops(grid: TileGrid, labels: Labels) -> dict[At, CellTable]:
    """What each tile sees of a map of the whole slide; the margin around it is empty."""
    edge = grid.tile
    padded = np.pad(labels, edge)
    tiles = {}
    for at in np.ndindex(*grid.shape):
        x, y = grid.corner(*at)
        crop = padded[y + edge : y + edge + grid.tile, x + edge : x + edge + grid.tile]
        boxes = enumerate(ndimage.find_objects(crop), 1)
        tiles[at] = cells_of(
            (crop[box] == i, (x + box[1].start, y + box[0].start)) for i, box in boxes if box
        )
    return tiles


def run(grid: TileGrid, tiles: Mapping[At, CellTable], seed: int | None = None) -> CellTable:
    """Merge the tiles given, the others being skipped; with a seed in random order per row."""
    seams = SeamResolver(grid, 2)
    out = []
    for row in range(grid.shape[0]):
        columns = [column for r, column in tiles if r == row]
        if seed is not None:
            np.random.default_rng(seed).shuffle(columns)
        out += [seams.add(tiles[row, column], row, column) for column in columns]
        out.append(seams.finish_row(row))
    return concatenate(out, 2)


def nuclei(cells: CellTable) -> list[Nucleus]:
    """Centroids and whole contours, in sorted order."""
    centres = (tuple(np.round(xy, 6).tolist()) for xy in cells.xy)
    return sorted((xy, cells.contour(i).tobytes()) for i, xy in enumerate(centres))


def disc(diameter: int) -> NDArray[np.bool_]:
    rows, columns = np.indices((diameter, diameter)) - (diameter - 1) / 2
    mask: NDArray[np.bool_] = rows**2 + columns**2 <= (diameter / 2) ** 2
    return mask


@pytest.mark.parametrize(
    ("grid", "diameter"),
    [
        *((TileGrid((380, 380), 256, 64), d) for d in (8, 25, 45, 63, 64)),
        (TileGrid((400, 400), 300, 97), 90),
        (TileGrid((1900, 1900)), 64),
        (TileGrid((1400, 1400), 784, 64), 40),
    ],
)
@pytest.mark.parametrize("step", [(1, 0), (0, 1), (1, 1), (1, -1)])
def test_a_nucleus_on_every_seam_position_is_found_once(
    grid: TileGrid, diameter: int, step: At
) -> None:
    assert grid.shape == (2, 2)
    mask, reach = disc(diameter), grid.overlap // 2 + diameter // 2 + 2
    middle = np.array([grid.stride, grid.stride if step[0] * step[1] else grid.stride // 2])
    middle = middle if step[0] else middle[::-1]
    for offset in range(-reach, reach + 1):
        corner = tuple((middle + offset * np.array(step) - diameter // 2).tolist())
        tiles = {at: cut_to(grid, at, mask, corner) for at in np.ndindex(2, 2)}
        assert nuclei(run(grid, tiles)) == nuclei(cells_of([(mask, corner)])), offset


@st.composite
def planted(draw: st.DrawFn) -> tuple[TileGrid, Labels]:
    """A grid and ellipses that fit into its overlap, some at the slide's edge."""
    overlap = draw(st.integers(12, 40))
    tile = draw(st.integers(2 * overlap, 3 * overlap))
    size = draw(st.tuples(st.integers(30, 260), st.integers(30, 260)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    canvas = np.zeros(size[::-1], np.int32)
    for label in range(1, draw(st.integers(1, 120))):
        axes = rng.integers(2, max(3, overlap // 2 - 1), 2).tolist()
        centre = rng.integers(0, size).tolist()
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, label, -1)
    # one that another cut into pieces is several, and must fit into the overlap
    labels = np.zeros_like(canvas)
    for label in np.unique(canvas[canvas > 0]):
        parts = ndimage.label(canvas == label)[0]
        labels += np.where(parts > 0, parts + labels.max(), 0).astype(np.int32)
    return TileGrid(size, tile, overlap), labels


@settings(max_examples=60, deadline=None)
@given(planted(), st.integers(0, 1000))
def test_many_tiles_find_what_one_big_tile_finds(case: tuple[TileGrid, Labels], seed: int) -> None:
    grid, labels = case
    size = max(grid.size)
    whole = run(TileGrid(grid.size, size, 0), crops(TileGrid(grid.size, size, 0), labels))
    assert len(whole) == labels.max()
    assert nuclei(run(grid, crops(grid, labels), seed)) == nuclei(whole)


def test_what_tiles_see_a_little_apart_is_owned_once() -> None:
    grid, rng, mask = TileGrid((540, 540), 256, 64), np.random.default_rng(0), disc(17)
    for x in range(150, 240, 5):
        for y in (100, 176, 185, 192, 199, 208, 384):
            off = {at: tuple(rng.integers(-3, 4, 2).tolist()) for at in np.ndindex(3, 3)}
            corners = {at: (x - 8 + dx, y - 8 + dy) for at, (dx, dy) in off.items()}
            tiles = {at: cut_to(grid, at, mask, corner) for at, corner in corners.items()}
            cells = run(grid, tiles)
            assert len(cells) == 1, (x, y)
            assert any(nuclei(cells) == nuclei(cells_of([(mask, c)])) for c in corners.values())


def test_a_cut_mask_loses_though_it_lies_deeper() -> None:
    grid = TileGrid((380, 200), 256, 64)
    mask = np.zeros((20, 60), np.bool_)
    mask[:, :20] = mask[9:11] = True  # a body in the left core, a tail over the right tile's margin
    corner = (grid.stride - 24, 50)
    left, right = (cut_to(grid, (0, column), mask, corner) for column in (0, 1))
    assert grid.depth(left.xy, 0, 0) > 0 > grid.depth(right.xy, 0, 1)
    assert left.vertices[:, 0].max() < right.vertices[:, 0].max()
    assert nuclei(run(grid, {(0, 0): left, (0, 1): right})) == nuclei(right)


@pytest.mark.parametrize("diameter", [70, 90, 110])
def test_a_nucleus_wider_than_the_overlap_is_found_once(diameter: int) -> None:
    grid, mask = TileGrid((380, 200), 256, 64), disc(diameter)
    for x in range(grid.stride - diameter, grid.stride + 1, 3):
        tiles = {at: cut_to(grid, at, mask, (x, 40)) for at in np.ndindex(1, 2)}
        cells = run(grid, tiles)
        sizes = [overlapping(c, np.zeros(len(c), np.int64))[1] for c in tiles.values()]
        assert overlapping(cells, np.zeros(len(cells), np.int64))[1] == max(
            s.tolist() for s in sizes if len(s)
        )


def test_of_two_cut_masks_the_larger_stays_though_the_other_lies_deeper() -> None:
    grid = TileGrid((580, 200), 356, 64)
    mask = np.zeros((40, 257), np.bool_)
    mask[:, :75] = mask[:2] = True  # a body across the overlap, a long tail to the right
    left, right = (cut_to(grid, (0, c), mask, (grid.stride - 45, 50)) for c in (0, 1))
    assert grid.depth(right.xy, 0, 1) > grid.depth(left.xy, 0, 0) > 0
    assert nuclei(run(grid, {(0, 0): left, (0, 1): right})) == nuclei(left)


def box(left: int, right: int, top: int = 100, bottom: int = 120) -> tuple[NDArray[np.bool_], At]:
    return np.ones((bottom - top, right - left), np.bool_), (left, top)


@pytest.mark.parametrize("x", range(170, 215))
def test_one_nucleus_or_its_two_halves_never_both(x: int) -> None:
    grid = TileGrid((380, 200), 256, 64)
    one, two = [box(x - 10, x + 10)], [box(x - 10, x - 1), box(x, x + 10)]
    for left, right in ((one, two), (two, one)):
        tiles = {(0, 0): cells_of(left), (0, 1): cells_of(right)}
        assert nuclei(run(grid, tiles)) in (nuclei(cells_of(one)), nuclei(cells_of(two)))


@pytest.mark.parametrize("x", range(176, 209, 4))
def test_a_chain_of_merged_nuclei_is_told_as_one_tile_saw_it(x: int) -> None:
    """Judged mask by mask, the outer two could stay and the one between be lost."""
    grid = TileGrid((380, 200), 256, 64)
    one = cells_of([box(x - 15, x + 4), box(x + 5, x + 15)])
    other = cells_of([box(x - 15, x - 6), box(x - 5, x + 15)])
    for left, right in ((one, other), (other, one)):
        cells = run(grid, {(0, 0): left, (0, 1): right})
        assert nuclei(cells) in (nuclei(one), nuclei(other))


def test_a_nucleus_in_the_hole_of_another_stays() -> None:
    labels = np.zeros((200, 380), np.int32)
    cv2.circle(labels, (192, 100), 25, 1, 8)
    cv2.circle(labels, (192, 100), 8, 2, -1)
    grid = TileGrid((380, 200), 256, 64)
    assert len(run(grid, crops(grid, labels))) == 2


def test_neighbours_that_only_touch_both_stay() -> None:
    grid = TileGrid((540, 540), 256, 64)
    tiles = {(0, 0): cells_of([box(180, 192)]), (0, 1): cells_of([box(190, 205)])}
    assert len(run(grid, tiles)) == 2


@pytest.mark.parametrize("found", [(0, 0), (0, 1)])
@pytest.mark.parametrize("x", range(168, 217))
def test_what_one_tile_alone_found(x: int, found: At) -> None:
    """It stays near the seam, and anywhere if the other tile was skipped, as empty of tissue."""
    grid = TileGrid((380, 200), 256, 64)
    cells = cells_of([box(x - 4, x + 4)])
    other = (0, 1 - found[1])
    assert len(run(grid, {found: cells})) == 1
    outside = (x - grid.stride) * (1 if found == (0, 0) else -1)
    stays = len(run(grid, {found: cells, other: CellTable.empty(2)}))
    assert stays == (outside < SEAM)


def test_a_nucleus_at_the_corner_of_three_skipped_tiles_stays() -> None:
    grid = TileGrid((540, 540), 256, 64)
    for at in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for x in range(165, 220, 3):
            assert len(run(grid, {at: cells_of([(disc(9), (x - 4, x - 4))])})) == 1


def test_a_sliver_at_the_border_is_no_nucleus() -> None:
    """The other tile, in whose core it lies, saw the nucleus elsewhere by a few pixels."""
    grid = TileGrid((380, 200), 256, 32)
    whole = cells_of([box(242, 262)])
    sliver = cells_of([box(grid.stride + 14, grid.stride + 16)])
    assert overlapping(concatenate([whole, sliver], 2), np.array([1, 0]))[0].tolist() == []
    assert nuclei(run(grid, {(0, 0): sliver, (0, 1): whole})) == nuclei(whole)


def test_cells_leave_as_soon_as_no_later_tile_can_see_them() -> None:
    rng = np.random.default_rng(0)
    grid = TileGrid((300, 1000), 128, 32)
    labels = np.zeros((1000, 300), np.int32)
    for label, (y, x) in enumerate(np.ndindex(50, 15), 1):
        centre = (20 * x + 10, 20 * y + 10)
        cv2.ellipse(labels, centre, (8, 5), rng.uniform(0, 180), 0, 360, label, -1)
    bottom = np.array([box[0].stop for box in ndimage.find_objects(labels)])
    seams, done, tiles = SeamResolver(grid, 2), 0, crops(grid, labels)
    for row in range(grid.shape[0]):
        done += sum(len(seams.add(tiles[row, c], row, c)) for c in range(grid.shape[1]))
        done += len(seams.finish_row(row))
        end = np.inf if row == grid.shape[0] - 1 else grid.corner(row + 1, 0)[1]
        assert done >= (bottom <= end).sum()
    assert done == len(bottom)


def test_rows_come_out_the_same_whatever_the_order_of_their_tiles() -> None:
    grid, rng = TileGrid((600, 250), 128, 32), np.random.default_rng(0)
    places = [(disc(9), (x, y)) for x in range(5, 580, 12) for y in range(5, 230, 12)]
    tiles = {
        at: concatenate([cut_to(grid, at, *place) for place in places], 2)
        for at in np.ndindex(*grid.shape)
    }
    outcomes = []
    for columns in (range(grid.shape[1]), rng.permutation(grid.shape[1]).tolist()):
        seams, rows = SeamResolver(grid, 2), []
        for row in range(grid.shape[0]):
            for column in columns:
                seams.add(tiles[row, column], row, column)
            rows.append(seams.finish_row(row).xy.tolist())
        outcomes.append(rows)
    assert len(outcomes[0][0]) > 20
    assert outcomes[0] == outcomes[1]


def test_grid_covers_the_slide_once() -> None:
    grid = TileGrid((1000, 500), tile=256, overlap=64)
    xy = np.random.default_rng(0).uniform(0, (1000, 500), (500, 2))
    rows, columns = grid.shape
    depth = np.stack([grid.depth(xy, *at) for at in np.ndindex(rows, columns)])
    assert ((depth > 0).sum(0) == 1).all()
    assert (depth.argmax(0) == grid.home(xy)).all()


@pytest.mark.parametrize("overlap", [-2, 130])
def test_overlaps_that_make_no_sense(overlap: int) -> None:
    with pytest.raises(RegdataError, match="half a tile"):
        TileGrid((1000, 1000), 256, overlap)
