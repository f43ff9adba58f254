"""Progress of long work: a function that takes the share done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Progress = Callable[[float], None]


def silent(share: float) -> None:
    """Ignore progress."""


@contextmanager
def bar(name: str) -> Iterator[Progress]:
    """A progress bar on standard error while the block runs; a line now and then in a log file."""
    layout = "{desc:<12}{percentage:3.0f}%|{bar:30}| {elapsed}<{remaining}"
    pause = 0.1 if sys.stderr.isatty() else 30.0
    with tqdm(total=1.0, desc=name, bar_format=layout, mininterval=pause) as line:

        def advance(share: float) -> None:
            line.update(share - line.n)

        yield advance
        advance(1.0)


@contextmanager
def counter(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar of tiles on standard error; takes the number done and a note."""
    layout = "{desc:<12}{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} tiles, {rate_fmt}{postfix}"
    pause = 0.1 if sys.stderr.isatty() else 30.0
    with tqdm(total=total, desc=name, bar_format=layout, mininterval=pause, unit="tile") as line:

        def advance(done: int, note: str) -> None:
            line.set_postfix_str(note, refresh=False)
            line.update(done - line.n)

        yield advance
