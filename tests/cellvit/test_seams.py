import numpy as np
import pytest

from regdata.cells import CellTable, concatenate
from regdata.cellvit.seams import SeamResolver, TileGrid, winners


def disc(x: float, y: float, radius: float = 8.0) -> CellTable:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
    one = np.ones(1, np.float32)
    return CellTable(
        np.array([[x, y]]),
        ring.astype(np.float32),
        np.array([0, 24]),
        np.full((1, 2), 1, np.float16),
        np.ones(1, np.uint8),
        one,
        one,
        one,
        np.zeros(1, np.uint8),
    )


def run(grid: TileGrid, seen: dict[tuple[int, int], list[CellTable]]) -> CellTable:
    seams = SeamResolver(grid, 2)
    out = []
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            out.append(seams.add(concatenate(seen.get((row, column), []), 2), row, column))
        out.append(seams.finish_row(row))
    return concatenate(out, 2)


def every_tile_sees(grid: TileGrid, x: float, y: float, jitter: float) -> CellTable:
    """Each tile that has the whole nucleus reports it, a little off from the others."""
    rng = np.random.default_rng(int(x * 1000 + y))
    seen: dict[tuple[int, int], list[CellTable]] = {}
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            left, top = grid.corner(row, column)
            if left + 8 <= x <= left + grid.tile - 8 and top + 8 <= y <= top + grid.tile - 8:
                off = rng.uniform(-jitter, jitter, 2)
                seen.setdefault((row, column), []).append(disc(x + off[0], y + off[1]))
    assert seen
    return run(grid, seen)


@pytest.mark.parametrize("jitter", [0.0, 3.0])
def test_a_nucleus_at_any_place_is_owned_once(jitter: float) -> None:
    grid = TileGrid((540, 540), tile=256, overlap=64)
    assert grid.shape == (3, 3)
    for x in range(150, 240, 5):
        for y in (100, 176, 185, 192, 199, 208, 384):
            cells = every_tile_sees(grid, x, y, jitter)
            assert len(cells) == 1, (x, y)
            assert np.abs(cells.xy[0] - (x, y)).max() <= jitter


def test_neighbours_that_only_touch_both_stay() -> None:
    grid = TileGrid((540, 540), tile=256, overlap=64)
    seen = {(0, 0): [disc(186, 100)], (0, 1): [disc(201, 100)]}
    assert len(run(grid, seen)) == 2


def test_a_nucleus_only_the_neighbour_found_stays() -> None:
    grid = TileGrid((540, 540), tile=256, overlap=64)
    assert len(run(grid, {(0, 1): [disc(186, 100)]})) == 1


def test_the_deeper_one_wins() -> None:
    cells = concatenate([disc(10, 10), disc(12, 10), disc(60, 60)], 2)
    assert winners(cells, np.array([2.0, 5.0, 1.0])).tolist() == [1, 1, 2]
    assert winners(CellTable.empty(2), np.zeros(0)).tolist() == []


def test_grid_covers_the_slide_once() -> None:
    grid = TileGrid((1000, 500), tile=256, overlap=64)
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, (1000, 500), (500, 2))
    owners = np.zeros(500, int)
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            owners += grid.depth(xy, row, column) > 0
    assert (owners == 1).all()
