"""A picture cut into tiles that threads fill."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from regdata.slides import Box

_MOST_THREADS = 4  # each holds a tile's worth of intermediate planes


def blocks(size: tuple[int, int], side: int) -> Iterator[Box]:
    """Boxes of at most `side` px that cover a picture of `size` (w, h), row by row.

    Examples
    --------
    >>> [(box.x, box.w) for box in blocks((5, 2), 3)]
    [(0, 3), (3, 2)]
    """
    for y in range(0, size[1], side):
        for x in range(0, size[0], side):
            yield Box(x, y, min(side, size[0] - x), min(side, size[1] - y))


def for_each(fill: Callable[[Box], None], boxes: Iterable[Box]) -> None:
    """Call `fill` for every box in a few threads; the first error is raised here."""
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, boxes))
