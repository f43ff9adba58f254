"""Which tile owns the nuclei that several tiles show; the rule is described in `seams`."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from regdata.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class Claims:
    """What each of N masks has to show for itself.

    Attributes
    ----------
    tile
        (N,) number of the tile that saw it.
    home
        (N,) number of the tile in whose core it lies.
    cut
        (N,) whether that tile saw only a part of it.
    depth
        (N,) pixels it lies inside that tile's core, negative outside.
    area
        (N,) pixels, above 0.
    trusted
        (N,) whether it may stay though its home did not find it.
    """

    tile: Ints
    home: Ints
    cut: Bools
    depth: Floats
    area: Floats
    trusted: Bools


def linked(pairs: Ints, count: int) -> Ints:
    """(count,) number of the group of each mask; pairs, (P, 2) int64, link masks of one group."""
    ones = np.ones(len(pairs), np.bool_)
    links = coo_array((ones, (pairs[:, 0], pairs[:, 1])), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def any_of_group(group: Ints, mask: Bools) -> Bools:
    """(N,) whether `mask`, (N,), holds for any of a mask's group; group is (N,) numbers."""
    holds: Bools = (np.bincount(group, mask) > 0)[group]
    return holds


def choose(claims: Claims, pairs: Ints, among: Bools) -> Bools:
    """(N,) which of the masks in `among` stay.

    A group goes that holds no trusted mask, and none of the home of any of its masks. Of the
    others the best tile's masks stay and those that overlap them go; what is left is judged again.

    Parameters
    ----------
    pairs
        (P, 2) masks that show the same nucleus.
    among
        (N,) whole groups.
    """
    stay, left = np.zeros(len(among), np.bool_), among.copy()
    while left.any():
        pairs = pairs[left[pairs].all(1)]
        group = linked(pairs, len(left))
        left &= any_of_group(group, claims.trusted | _found_at_home(claims, group))
        index = np.flatnonzero(left)
        best = index[_best_tile(claims, index, group[index])]
        stay[best] = True
        left[best] = False
        left[pairs[stay[pairs].any(1)]] = False
    return stay


def _found_at_home(claims: Claims, group: Ints) -> Bools:
    """For each mask, whether the tile in whose core it lies has one in its group, (N,)."""
    tiles = int(max(claims.tile.max(), claims.home.max())) + 1
    at_home: Bools = np.isin(group * tiles + claims.home, group * tiles + claims.tile)
    return at_home


def _best_tile(claims: Claims, index: Ints, group: Ints) -> Bools:
    """(len(index),) which of the indexed masks are of the tile that owns their group."""
    tile, area = claims.tile[index], claims.area[index]
    tiles = int(tile.max(initial=0)) + 1
    key, share = np.unique(group * tiles + tile, return_inverse=True)
    size = np.bincount(share, area)
    depth = np.bincount(share, area * claims.depth[index]) / size
    cut = np.bincount(share, claims.cut[index]) > 0
    # the tile's number only settles ties
    order = np.lexsort((key, -np.where(cut, size, depth), cut, key // tiles))
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(key[order] // tiles) > 0
    owner = np.zeros(len(order), np.bool_)
    owner[order[first]] = True
    return owner[share]
