"""Weights of images: CellViT's sampler for rare tissues and rare classes of nuclei."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

Weights = NDArray[np.float64]
PANNUKE_FREQUENCIES = (4191, 4132, 6140, 232, 1528)
"""Images of PanNuke with nuclei of class 1..5, the frequencies CellViT was trained with."""


def count_nuclei(
    maps: Iterable[tuple[NDArray[np.int32], NDArray[np.uint8] | None]], classes: int
) -> NDArray[np.int64]:
    """Number of nuclei per image and class; a nucleus has the class of most of its typed pixels.

    Parameters
    ----------
    maps
        Per image (H, W) int32 instances and uint8 types, None where it has no classes.
    classes
        Number of classes, background not counted.

    Returns
    -------
    array
        (N, classes) int64; column c counts type c + 1; rows of images without classes are -1.
    """
    rows = [np.full(classes, -1) if t is None else _count(i, t, classes) for i, t in maps]
    return np.array(rows, np.int64).reshape(-1, classes)


def _count(
    instances: NDArray[np.int32], types: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    inside = (instances > 0) & (types > 0) & (types <= classes)
    if not inside.any():
        return np.zeros(classes, np.int64)
    ids, numbers = np.unique(instances[inside], return_inverse=True)
    votes = np.bincount(numbers * classes + types[inside] - 1, minlength=len(ids) * classes)
    winner = votes.reshape(len(ids), classes).argmax(1)
    return np.bincount(winner, minlength=classes).astype(np.int64)


def tissue_weights(tissues: NDArray[np.int64], gamma: float = 0.85) -> Weights:
    """(N,) weight of each image by the frequency of its tissue.

    It is N / (gamma n + (1 - gamma) N), n being the number of images of the tissue.

    Parameters
    ----------
    tissues
        (N,) int64 numbers, -1 = not known: such images get the mean weight of the others.
    gamma
        0 draws all images alike, 1 all tissues.
    """
    known = tissues >= 0
    weights = np.ones(len(tissues))
    if known.any():
        total = known.sum()
        counts = np.bincount(tissues[known])[tissues[known]]
        weights[known] = total / (gamma * counts + (1 - gamma) * total)
        weights[~known] = weights[known].mean()
    return weights


def cell_weights(
    counts: NDArray[np.int64], gamma: float = 0.85, frequencies: Sequence[int] | None = None
) -> Weights:
    """(N,) weight of each image by the frequencies of the classes of its nuclei.

    It is (1 - gamma) any + gamma sum_c has_c K / (gamma f_c + (1 - gamma) K).

    An image without typed nuclei gets the smallest weight of the others, one without classes
    their mean.

    Parameters
    ----------
    counts
        (N, C) int64, nuclei per class; rows of -1 have no classes.
    gamma
        0 draws all images with nuclei alike.
    frequencies
        f, images with nuclei of each class, K being their sum; None = those of `counts`.
    """
    typed = counts.min(1, initial=0) >= 0
    has = (counts > 0) & typed[:, None]
    per_class = np.array(has.sum(0) if frequencies is None else frequencies, np.float64)
    filled = has.any(1)
    if not filled.any():
        return np.ones(len(counts))
    total = per_class.sum()
    rarity = total / (gamma * per_class + (1 - gamma) * total) if gamma < 1 else _inverse(per_class)
    weights: Weights = (1 - gamma) * filled + gamma * (has @ rarity)
    weights[typed & ~filled] = weights[filled].min()
    weights[~typed] = weights[filled].mean()
    return weights


def _inverse(per_class: Weights) -> Weights:
    """K / f, 0 for a class that no image has."""
    inverse: Weights = np.divide(
        per_class.sum(), per_class, out=np.zeros_like(per_class), where=per_class > 0
    )
    return inverse


def cell_tissue_weights(
    counts: NDArray[np.int64],
    tissues: NDArray[np.int64],
    gamma: float = 0.85,
    frequencies: Sequence[int] | None = None,
) -> Weights:
    """(N,) weights of CellViT's `cell+tissue` sampler: both, each divided by its maximum, added.

    Parameters
    ----------
    counts, tissues
        (N, C) int64 and (N,) int64, as of `cell_weights` and `tissue_weights`.
    """
    of_cells, of_tissues = cell_weights(counts, gamma, frequencies), tissue_weights(tissues, gamma)
    if not len(of_cells):
        return of_cells
    added: Weights = of_cells / of_cells.max() + of_tissues / of_tissues.max()
    return added


def share_out(weights: Sequence[Weights], shares: Sequence[float]) -> Weights:
    """(N,) float64, probability of each image, the sources one after the other.

    Parameters
    ----------
    weights
        Per source (n,) float64, a weight per image; only their ratios within the source matter.
    shares
        Per source; its images are drawn with probability share / sum of shares.

    Raises
    ------
    RegdataError
        A source with a share has no image, or no source has a share.
    """
    if not sum(shares) > 0:
        raise RegdataError("no source has a share above 0; give one of them a share")
    for k, (of_source, share) in enumerate(zip(weights, shares, strict=True)):
        if share > 0 and not of_source.sum() > 0:
            raise RegdataError(f"source {k + 1} has a share of {share} but no training images")
    parts = [
        w * (share / w.sum()) if share > 0 else np.zeros(len(w))
        for w, share in zip(weights, shares, strict=True)
    ]
    return np.concatenate(parts) / sum(shares)
