"""Which tokens a nucleus's mean token is made of."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from regdata.arrays import Ints
from regdata.cellvit.maps.maps import Float, Labels, TokenShares


@dataclass(frozen=True)
class TokenGrid:
    """Rows and columns of tokens, and the side of a token in pixels."""

    rows: int
    columns: int
    patch: float


def token_shares(
    instances: Labels, box: Ints, grid: TokenGrid, tokens: Literal["nucleus", "box"]
) -> TokenShares:
    """How much of each token belongs to each nucleus.

    Parameters
    ----------
    instances
        (H, W) int32 instances 1..N, 0 = background.
    box
        (N, 4) first row, first column, row and column after the last of each instance, pixels.
    tokens
        `nucleus`: a token weighs as many of the nucleus's pixels as have their centres in it;
        `box`: all tokens the box touches weigh the same.
    """
    low = np.floor(box[:, :2] / grid.patch).astype(np.int64)
    high = np.ceil(box[:, 2:] / grid.patch).astype(np.int64)
    rectangle = np.minimum(np.hstack([low, high]), [grid.rows, grid.columns] * 2)
    sides = rectangle[:, 2:] - rectangle[:, :2]
    starts = np.concatenate([[0], np.cumsum(sides.prod(1))])
    place = _places(rectangle, starts, grid.columns)
    weight = np.ones(len(place), np.float32)
    if tokens == "nucleus":
        weight = _pixels_shared(instances, box, rectangle, starts, grid.patch)
    owner = np.repeat(np.arange(len(box)), np.diff(starts))
    total = np.bincount(owner, weight, len(box))
    return TokenShares(starts, place, (weight / total[owner]).astype(np.float32))


@njit(cache=True, nogil=True)
def _places(rectangle: Ints, starts: Ints, columns: int) -> Ints:
    """Index of every token of every rectangle, row by row."""
    place = np.empty(starts[-1], np.int64)
    for k in range(len(rectangle)):
        top, left, bottom, right = rectangle[k]
        n = starts[k]
        for row in range(top, bottom):
            for column in range(left, right):
                place[n] = row * columns + column
                n += 1
    return place


@njit(cache=True, nogil=True)
def _pixels_shared(
    instances: Labels, box: Ints, rectangle: Ints, starts: Ints, patch: float
) -> Float:
    """Number of the nucleus's pixels in every token of its rectangle."""
    weight = np.zeros(starts[-1], np.float32)
    for k in range(len(box)):
        first_row, first_column, last_row, last_column = rectangle[k]
        for y in range(box[k, 0], box[k, 2]):
            row = min(np.int64((y + 0.5) / patch), last_row - 1) - first_row
            for x in range(box[k, 1], box[k, 3]):
                if instances[y, x] == k + 1:
                    column = min(np.int64((x + 0.5) / patch), last_column - 1) - first_column
                    weight[starts[k] + row * (last_column - first_column) + column] += 1
    return weight
