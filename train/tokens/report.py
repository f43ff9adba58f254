"""The course of a training of a token classifier."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
