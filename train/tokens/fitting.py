"""Train a token classifier on arrays: tokens, labels and a split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from regdata.cellvit.networks import TokenClassifier
from regdata.train.tokens.auroc import auroc_per_class
from regdata.train.tokens.report import Epoch, FitReport
from regdata.train.tokens.splits import Split
from regdata.train.tokens.tokens import (
    TokenBatches,
    Tokens,
    check_cells,
    check_weights,
    token_batches,
)

_EVAL_BATCH = 8192


class FitSettings(BaseModel):
    """Settings of a training; the defaults are the recommended run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    lr: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.85, 0.9)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: int = Field(default=256, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation score before training stops."""
    class_weights: Literal["inverse", "none"] = "inverse"
    """`inverse`: every class has the same weight in the loss, however few its cells."""
    weights: Literal["label_probability", "none"] = "none"
    """`label_probability`: a cell counts in the loss as much as its label is likely."""
    robust: bool = False
    """Differences of classes within slides alone, for slides of other laboratories."""
    val_share: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0


def fit(
    tokens: Tokens,
    labels: NDArray[np.integer[Any]],
    classes: Sequence[str],
    split: Split,
    settings: FitSettings | None = None,
    progress: Callable[[Epoch], None] | None = None,
    weights: NDArray[np.floating[Any]] | None = None,
) -> tuple[TokenClassifier, FitReport]:
    """The best network of a training that ends when the validation score stops rising.

    Best is the highest macro AUROC and, among equals, the lowest validation loss: easy or few
    validation cells reach 1.0 in the first epoch. Same input, settings and number of threads
    give the same network.

    Parameters
    ----------
    tokens
        (N, D) float16 or float32.
    labels
        (N,) int, index into `classes`; anything for cells in neither part of the split.
    split
        From `split_groups`.
    progress
        Called after each epoch.
    weights
        (N,) float above 0, weight of each cell in the loss; all the same by default.

    Raises
    ------
    RegdataError
        The arrays do not belong together, hold NaN, or a part lacks a second class.
    """
    settings = settings or FitSettings()
    check_cells(tokens, labels, classes, split)
    check_weights(weights, split)
    cells = token_batches(tokens, labels, split.train, weights)
    train, val = (torch.from_numpy(np.flatnonzero(part)) for part in (split.train, split.val))
    mass = np.bincount(labels[split.train], cells.weights[train].numpy(), len(classes))
    balance = class_weights(mass) if settings.class_weights == "inverse" else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = TokenClassifier(tokens.shape[1], settings.hidden, len(classes), settings.dropout)
        run = _Run(network, cells, train, val, WeightedLoss(balance, len(classes)))
        epochs, best, per_class = _train(run, settings, progress)
    standard = cells.mean.numpy(), cells.std.numpy()
    report = FitReport.of((epochs, best), standard, per_class, classes, labels, split)
    return network.eval(), report


class WeightedLoss(nn.Module):
    """Mean cross-entropy of cells, weighted by class and by cell.

    With equal weights of cells it is `torch.nn.CrossEntropyLoss`.
    """

    def __init__(self, balance: Tensor | None, classes: int) -> None:
        super().__init__()
        self.balance = torch.ones(classes) if balance is None else balance

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Loss of (B, K) logits, (B,) labels and (B,) weights of cells."""
        mass = self.balance[labels] * weights
        loss = nn.functional.cross_entropy(logits, labels, reduction="none")
        return (mass * loss).sum() / mass.sum()


def class_weights(counts: NDArray[np.number[Any]]) -> Tensor:
    """(K,) float32, weight of each class: inverse to its cells, mean 1 over them; 0 without any.

    Parameters
    ----------
    counts
        (K,) number of cells of each class, or sum of their weights.

    Examples
    --------
    >>> import numpy as np
    >>> class_weights(np.array([30, 10, 0])).tolist()
    [0.6666666865348816, 2.0, 0.0]
    """
    inverse = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    weights = inverse * counts.sum() / np.count_nonzero(counts)
    return torch.from_numpy(weights.astype(np.float32))


@dataclass(frozen=True)
class _Run:
    network: TokenClassifier
    cells: TokenBatches
    train: Tensor
    val: Tensor
    loss: WeightedLoss


def _train(
    run: _Run, settings: FitSettings, progress: Callable[[Epoch], None] | None
) -> tuple[list[Epoch], Epoch, NDArray[np.float64]]:
    """All epochs, the best one, and its AUROC per class; the network keeps the best weights."""
    optimiser = torch.optim.AdamW(
        run.network.parameters(), settings.lr, settings.betas, weight_decay=settings.weight_decay
    )
    epochs: list[Epoch] = []
    best_rank, best, best_state = (-np.inf, -np.inf), 0, {}
    best_auroc = np.zeros(0)
    for number in range(1, settings.epochs + 1):
        train_loss = _one_pass(run, optimiser, settings.batch)
        val_loss, per_class = _validate(run)
        epochs.append(Epoch(number, train_loss, val_loss, float(np.nanmean(per_class))))
        if (epochs[-1].auroc, -val_loss) > best_rank:
            best_rank, best, best_auroc = (epochs[-1].auroc, -val_loss), number, per_class
            best_state = {k: v.clone() for k, v in run.network.state_dict().items()}
        if progress is not None:
            progress(epochs[-1])
        if number - best >= settings.patience:
            break
    run.network.load_state_dict(best_state)
    return epochs, epochs[best - 1], best_auroc


def _one_pass(run: _Run, optimiser: torch.optim.Optimizer, batch: int) -> float:
    """Mean loss per batch of one training pass over all cells, in random order."""
    run.network.train()
    losses = []
    for index in torch.split(run.train[torch.randperm(len(run.train))], batch):
        tokens, labels = run.cells.take(index)
        loss = run.loss(run.network(tokens), labels, run.cells.weights[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _validate(run: _Run) -> tuple[float, NDArray[np.float64]]:
    """Loss and AUROC per class on the validation cells."""
    run.network.eval()
    with torch.inference_mode():
        parts = torch.split(run.val, _EVAL_BATCH)
        logits = torch.cat([run.network(run.cells.take(part)[0]) for part in parts])
        labels = run.cells.labels[run.val]
        loss = float(run.loss(logits, labels, run.cells.weights[run.val]))
        probabilities = logits.double().softmax(dim=1).numpy()
    return loss, auroc_per_class(probabilities, labels.numpy())
