"""Training and validation parts that share no slide, or at least no neighbourhood."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

_BLOCKS = (1024, 512, 256)  # sides in level-0 pixels, the first that works is taken
_TRIES = 200

How = Literal["slide", "tile block", "cell"]


@dataclass(frozen=True)
class Split:
    """Two disjoint masks over the cells; cells with a label below 0 are in neither.

    Attributes
    ----------
    train, val
        (N,) bool.
    how
        The unit that was kept together.
    warning
        What limits the validation score; None when slides were kept together.
    """

    train: NDArray[np.bool_]
    val: NDArray[np.bool_]
    how: How
    warning: str | None = None


def split_groups(
    slide: NDArray[np.str_],
    xy: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    share: float = 0.2,
    seed: int = 0,
) -> Split:
    """A split with about `share` of the cells for validation, every class in both parts.

    Whole slides are put aside when there are two or more and every class can be had in both
    parts that way; else blocks of tiles; else single cells. The last two come with a warning.

    Parameters
    ----------
    slide
        (N,) str, slide of each cell; the patient, where several slides are of one.
    xy
        (N, 2) float, level-0 pixels.
    labels
        (N,) int, class of each cell; below 0: not used.
    share
        Between 0 and 1.

    Raises
    ------
    RegdataError
        No cell has a label, or a class has one cell only.
    """
    used = labels >= 0
    if not used.any():
        raise RegdataError("expected labelled cells to train on, got none")
    ids, classes = np.unique(labels[used], return_inverse=True)
    rare = ids[np.bincount(classes) < 2]
    if len(rare):
        raise RegdataError(
            f"class {rare[0]} has one cell only; training and validation need one each: add "
            "cells or leave the class out"
        )
    _, slides = np.unique(slide[used], return_inverse=True)
    chosen, how, warning = _choose(slides, xy[used], classes, (share, seed))
    val = np.zeros(len(labels), bool)
    val[np.flatnonzero(used)[chosen]] = True
    return Split(used & ~val, val, how, warning)


def _choose(
    slides: NDArray[np.int64],
    xy: NDArray[np.floating[Any]],
    classes: NDArray[np.int64],
    settings: tuple[float, int],
) -> tuple[NDArray[np.bool_], How, str | None]:
    """Choose validation cells by the largest unit that leaves every class in both parts."""
    chosen = _hold_out(slides, classes, *settings)
    if chosen is not None:
        return chosen, "slide", None
    several = slides.max() > 0
    reason = "no choice of slides has every class in both parts" if several else "only one slide"
    for side in _BLOCKS:
        chosen = _hold_out(_blocks(slides, xy, side), classes, *settings)
        if chosen is not None:
            return (
                chosen,
                "tile block",
                (
                    f"{reason}: validation uses other {side} px blocks of the same slides, so its "
                    "score says nothing about a new slide or stain"
                ),
            )
    return (
        _single_cells(classes, *settings),
        "cell",
        (
            f"{reason}, and no blocks of tiles have every class in both parts: validation uses "
            "neighbours of training cells, so its score is too high"
        ),
    )


def _blocks(
    slides: NDArray[np.int64], xy: NDArray[np.floating[Any]], side: int
) -> NDArray[np.int64]:
    """(N,) number of the square block, side in pixels, that holds each cell."""
    cells = np.column_stack([slides, np.floor(xy / side).astype(np.int64)])
    _, block = np.unique(cells, axis=0, return_inverse=True)
    number: NDArray[np.int64] = block.reshape(-1)
    return number


def _hold_out(
    groups: NDArray[np.int64], classes: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_] | None:
    """Whole groups whose cells come nearest to the share of every class; None without any."""
    counts = np.zeros((groups.max() + 1, classes.max() + 1))
    np.add.at(counts, (groups, classes), 1)
    if len(counts) < 2:
        return None
    total = counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    best, best_groups = np.inf, None
    for _ in range(_TRIES):
        order = rng.permutation(len(counts))
        held = np.cumsum(counts[order], axis=0)[:-1]  # after taking 1, 2, ... groups
        complete = np.all((held > 0) & (held < total), axis=1)
        distance = np.abs(held / total - share).sum(axis=1)
        distance[~complete] = np.inf
        if distance.min() < best:
            best = float(distance.min())
            best_groups = order[: int(distance.argmin()) + 1]
    return None if best_groups is None else np.isin(groups, best_groups)


def _single_cells(classes: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Take a random share of each class, one cell at least, never all."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(classes), bool)
    for c in range(classes.max() + 1):
        cells = rng.permutation(np.flatnonzero(classes == c))
        chosen[cells[: min(max(1, round(share * len(cells))), len(cells) - 1)]] = True
    return chosen
