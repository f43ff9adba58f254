"""Tokens for training: checked, and standardised batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regdata.errors import RegdataError
from regdata.train.tokens.splits import Split

_CHUNK = 65536

Tokens = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TokenBatches:
    """Tokens standardised on the fly, so that a million of them stay float16 in memory.

    Attributes
    ----------
    tokens
        (N, D) float16 or float32, as stored.
    labels
        (N,) int64.
    mean, std
        (D,) float32.
    weights
        (N,) float32, weight of each cell in the loss.
    """

    tokens: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    weights: Tensor

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) float32 standardised tokens and (B,) int64 labels of the cells `index` (B,)."""
        return (self.tokens[index].float() - self.mean) / self.std, self.labels[index]


def token_batches(
    tokens: Tokens,
    labels: NDArray[np.integer[Any]],
    train: NDArray[np.bool_],
    weights: NDArray[np.floating[Any]] | None = None,
) -> TokenBatches:
    """Tokens standardised by the mean and deviation of the training tokens.

    Parameters
    ----------
    tokens, labels
        (N, D) float16 or float32 and (N,) int.
    train
        (N,) bool, training cells.
    weights
        (N,) float; all 1 by default.
    """
    counts = np.ones(len(labels)) if weights is None else weights
    mean, std = standardisation(tokens, np.flatnonzero(train))
    return TokenBatches(
        torch.from_numpy(np.ascontiguousarray(tokens)),
        torch.from_numpy(labels.astype(np.int64)),
        torch.from_numpy(mean),
        torch.from_numpy(std),
        torch.from_numpy(counts.astype(np.float32)),
    )


def standardisation(
    tokens: Tokens, index: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(D,) float32 mean and standard deviation of the indexed tokens; 1 for a constant entry.

    Parameters
    ----------
    tokens, index
        (N, D) float and (n,) int64.
    """
    shift = tokens[index[0]].astype(np.float64)  # keeps the squares small beside the spread
    total, squares = np.zeros(tokens.shape[1]), np.zeros(tokens.shape[1])
    for start in range(0, len(index), _CHUNK):
        part = tokens[index[start : start + _CHUNK]].astype(np.float64) - shift
        total += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    mean = total / len(index)
    std = np.sqrt(np.maximum(squares / len(index) - mean**2, 0))
    std[std < 1e-6] = 1
    return (mean + shift).astype(np.float32), std.astype(np.float32)


def check_cells(
    tokens: Tokens, labels: NDArray[np.integer[Any]], classes: Sequence[str], split: Split
) -> None:
    """Raise an error for arrays that do not fit each other or cannot be learnt from.

    Parameters
    ----------
    tokens, labels
        (N, D) float and (N,) int, index into `classes`.
    """
    if tokens.ndim != 2 or not len(tokens) == len(labels) == len(split.train) == len(split.val):
        raise RegdataError(
            f"expected one label per token, got tokens of shape {tokens.shape}, {len(labels)} "
            f"labels and a split of {len(split.train)} cells"
        )
    for part, purpose in ((split.train, "train"), (split.val, "validate")):
        _check_part(labels[part], classes, purpose)
    used = np.flatnonzero(split.train | split.val)
    for start in range(0, len(used), _CHUNK):
        if not np.isfinite(tokens[used[start : start + _CHUNK]]).all():
            raise RegdataError(
                "expected finite tokens, got NaN or infinity among them; build the dataset again"
            )


def check_weights(weights: NDArray[np.floating[Any]] | None, split: Split) -> None:
    """Raise an error for weights (N,) that do not fit the N cells or are not above 0."""
    if weights is None:
        return
    if weights.shape != split.train.shape:
        raise RegdataError(
            f"expected one weight per token, got {len(weights)} for {len(split.train)} tokens"
        )
    used = weights[split.train | split.val]
    if not ((used > 0) & np.isfinite(used)).all():
        raise RegdataError("expected weights above 0 of all cells, got others or NaN among them")


def _check_part(labels: NDArray[np.integer[Any]], classes: Sequence[str], purpose: str) -> None:
    if len(labels) == 0:
        raise RegdataError(f"expected labelled cells to {purpose} on, got none")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise RegdataError(
            f"expected labels from 0 to {len(classes) - 1} ({', '.join(classes)}), got "
            f"{labels.min()} to {labels.max()}"
        )
    present = np.unique(labels)
    if len(present) < 2:
        raise RegdataError(
            f"expected cells of two classes or more to {purpose} on, got only "
            f"{classes[present[0]]}; check the threshold of the marker or add slides"
        )
