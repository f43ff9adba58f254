"""A picture of some of many images: what was stained, and what became of the nuclei there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from regdata.arrays import RGB, Ints
from regdata.cells import CellTable, read_measured
from regdata.chain.masked import MaskedImage
from regdata.report import caption, draw_cells, mark_mask, write_png

_COLUMNS, _ROWS, _TILE = 3, 2, 480  # of a sheet of images; pixels


def write_sheet(
    path: Path, labelled: Path, images: Sequence[str], open_image: Callable[[int], MaskedImage]
) -> None:
    """Write one picture of some of many images: of each sixth of them the one with most positives.

    Parameters
    ----------
    labelled
        The file of their nuclei.
    images
        Names of all, as the file has them.
    open_image
        The image of a number.
    """
    dataset, _ = read_measured(labelled)
    places = {name: number for number, name in enumerate(images)}
    number = np.array([places[name] for name in dataset.obs["image"].cat.categories], np.int64)
    number = number[dataset.obs["image"].cat.codes.to_numpy()]
    labels = dataset.labels
    tiles = []
    for k in chosen(number, labels, len(images)):
        own = number == k
        tiles.append(_tile(open_image(k), dataset.cells.take(own), labels[own]))
    width = min(len(tiles), _COLUMNS)
    tiles += [np.full((_TILE, _TILE, 3), 255, np.uint8)] * (-len(tiles) % width)
    rows = [np.hstack(tiles[k : k + width]) for k in range(0, len(tiles), width)]
    text = "centres of images: mask (yellow), nuclei by label (grey: negative, black: unknown)"
    write_png(path, caption(np.vstack(rows), text))


def chosen(number: Ints, labels: Ints, count: int) -> list[int]:
    """Of each sixth of `count` images the first with most positives, of those with nuclei.

    Parameters
    ----------
    number
        (N,) the image of each nucleus.
    labels
        (N,) 0 negative, above it a class, -1 unknown.

    Examples
    --------
    >>> chosen(np.array([0, 1, 1, 7]), np.array([0, 1, -1, 0]), 12)
    [1, 7]
    """
    positives = np.bincount(number[labels > 0], minlength=count)
    best: dict[int, int] = {}
    for k in np.unique(number).tolist():
        other = best.setdefault(k * _COLUMNS * _ROWS // count, k)
        if positives[k] > positives[other]:
            best[k * _COLUMNS * _ROWS // count] = k
    return list(best.values())


def _tile(image: MaskedImage, cells: CellTable, labels: Ints) -> RGB:
    he, (mask,) = image.he, image.masks.values()
    corner = (float((he.size[0] - _TILE) // 2), float((he.size[1] - _TILE) // 2))
    size = (_TILE, _TILE)
    picture = mark_mask(he.read_rgb(corner, size), mask.stained(corner, size))
    return draw_cells(picture, cells, labels, corner, 1.0)
