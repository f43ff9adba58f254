"""Reading, inference and post-processing side by side, with as few tiles in memory as that takes.

Threads read tiles ahead, one thread runs the network on batches of them, further threads turn the
maps into cells; OpenSlide, cv2 and the numba kernels run without the interpreter's lock. Every
queue is bounded, so that the slowest step holds back the others and memory does not depend on the
slide. Results come in the order of the tiles.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.cellvit.maps import Maps, PostprocessSettings, find_cells
from regdata.cellvit.networks import Model
from regdata.cellvit.tiles.inference import predict_batch
from regdata.cellvit.tiles.plan import Place, Plan
from regdata.cellvit.tiles.quality import TileQuality, tile_quality
from regdata.errors import RegdataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """What a run may use; results do not depend on it.

    Attributes
    ----------
    batch
        Tiles the network takes at once; 1 on a CPU and 8 on a GPU by default. Halved when the
        GPU's memory does not do.
    workers
        Threads that read, and as many that turn maps into cells.
    """

    batch: int | None = None
    workers: int = 2


@dataclass(frozen=True)
class TileCells:
    """What one tile gave.

    Attributes
    ----------
    cells
        In pixels of the tile; none where the tile was skipped.
    skipped
        Whether its quality kept the network from running on it.
    """

    place: Place
    cells: CellTable
    quality: TileQuality
    skipped: bool = False


@dataclass(frozen=True)
class _Read:
    place: Place
    rgb: NDArray[np.uint8]
    quality: TileQuality


def detect_tiles(
    plan: Plan,
    model: Model,
    settings: PostprocessSettings,
    resources: Resources,
    skip: Callable[[TileQuality], bool],
) -> Iterator[TileCells]:
    """The cells of each tile of a plan, in order.

    Parameters
    ----------
    skip
        Whether a tile of that quality is left out.
    """
    runner = BatchRunner(model, resources.batch)
    nothing = CellTable.empty(model.config.token_width)
    waiting: deque[Future[TileCells]] = deque()

    def read(place: Place) -> _Read:
        rgb = plan.read(place)
        return _Read(place, rgb, tile_quality(rgb, plan.mpp))

    def finish(tile: _Read, maps: Maps) -> TileCells:
        return TileCells(tile.place, find_cells(maps, plan.mpp, settings)[1], tile.quality)

    with _pool(resources.workers) as readers, _pool(resources.workers) as finishers:
        tiles = _ahead(readers, read, plan.tiles, runner.size + resources.workers)
        while batch := list(islice(tiles, runner.size)):
            good = [tile for tile in batch if not skip(tile.quality)]
            maps = dict(zip((t.place for t in good), runner([t.rgb for t in good]), strict=True))
            for tile in batch:
                if tile.place in maps:
                    waiting.append(finishers.submit(finish, tile, maps.pop(tile.place)))
                else:
                    left_out = TileCells(tile.place, nothing, tile.quality, skipped=True)
                    waiting.append(_done(left_out))
            while len(waiting) > resources.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Place], _Read], places: Sequence[Place], depth: int
) -> Iterator[_Read]:
    """Read in order, `depth` tiles ahead of what is taken."""
    ahead: deque[Future[_Read]] = deque()
    for place in places:
        ahead.append(pool.submit(read, place))
        if len(ahead) > depth:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _done(result: TileCells) -> Future[TileCells]:
    future: Future[TileCells] = Future()
    future.set_result(result)
    return future


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; when the block is left early, what has not begun is not begun."""
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class BatchRunner:
    """Runs the network on batches, on smaller ones from where the GPU's memory was too small."""

    def __init__(self, model: Model, batch: int | None) -> None:
        self._model = model
        self.size = batch or (1 if model.device.type == "cpu" else 8)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Maps]:
        """The maps of images of one size.

        Raises
        ------
        RegdataError
            Not even one fits into the GPU's memory.
        """
        maps: list[Maps] = []
        while len(maps) < len(images):
            part = images[len(maps) : len(maps) + self.size]
            try:
                maps += predict_batch(self._model, part)
            except torch.cuda.OutOfMemoryError:
                self._halve()
        return maps

    def _halve(self) -> None:
        if self.size == 1:
            raise RegdataError(
                f"the GPU has too little memory for one tile of {self._model.config.name}; "
                "free it, use a smaller model or `device='cpu'`"
            ) from None
        self.size //= 2
        _log.warning("too little GPU memory: going on with batches of %d", self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
