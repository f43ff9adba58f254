"""The course of a training of a token classifier."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.train.tokens.splits import Split


@dataclass(frozen=True)
class Epoch:
    """One pass over the training cells; `auroc` is the macro mean on the validation cells."""

    number: int
    train_loss: float
    val_loss: float
    auroc: float


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """Standardisation of the tokens, course of the training and its validation scores.

    Attributes
    ----------
    mean, std
        (D,) float32, by which tokens are standardised; the classifier needs them.
    best
        The epoch whose network was kept.
    auroc_per_class
        Of the kept network on the validation cells; None for a class they lack.
    split
        The unit that the split kept together.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    epochs: tuple[Epoch, ...]
    best: Epoch
    classes: tuple[str, ...]
    auroc_per_class: tuple[float | None, ...]
    train_cells: tuple[int, ...]
    val_cells: tuple[int, ...]
    split: str
    warning: str | None

    @classmethod
    def of(
        cls,
        epochs: tuple[Sequence[Epoch], Epoch],
        standard: tuple[NDArray[np.float32], NDArray[np.float32]],
        areas: NDArray[np.float64],
        classes: Sequence[str],
        labels: NDArray[np.integer[Any]],
        split: Split,
    ) -> "FitReport":
        """The report of a training on cells with labels and a split.

        Parameters
        ----------
        epochs
            All, and the best of them.
        standard
            Mean and deviation, (D,) each.
        areas
            (K,) AUROC of each class on the validation cells; NaN where they lack it.
        labels
            (N,) index into `classes` of the cells that were split.
        """
        train, val = (
            tuple(np.bincount(labels[part], minlength=len(classes)).tolist())
            for part in (split.train, split.val)
        )
        return cls(
            mean=standard[0],
            std=standard[1],
            epochs=tuple(epochs[0]),
            best=epochs[1],
            classes=tuple(classes),
            auroc_per_class=tuple(float(area) if np.isfinite(area) else None for area in areas),
            train_cells=train,
            val_cells=val,
            split=split.how,
            warning=split.warning,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the standardisation."""
        return {
            "epochs": len(self.epochs),
            "best": asdict(self.best),
            "auroc": dict(zip(self.classes, self.auroc_per_class, strict=True)),
            "train_cells": dict(zip(self.classes, self.train_cells, strict=True)),
            "val_cells": dict(zip(self.classes, self.val_cells, strict=True)),
            "split": self.split,
            "warning": self.warning,
        }
