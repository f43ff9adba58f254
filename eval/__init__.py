"""Evaluation: how far predictions are from pathologists' annotations.

The public names load when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regdata.eval.boxes import score_boxes
    from regdata.eval.classification import score_classes
    from regdata.eval.instance_scores import score_instances
    from regdata.eval.paired import auroc_difference, bootstrap, bootstrap_difference
    from regdata.eval.point_scores import score_points
    from regdata.eval.readers import fleiss_kappa, reader_f1

_HOME = {
    "auroc_difference": "paired",
    "bootstrap": "paired",
    "bootstrap_difference": "paired",
    "fleiss_kappa": "readers",
    "reader_f1": "readers",
    "score_boxes": "boxes",
    "score_classes": "classification",
    "score_instances": "instance_scores",
    "score_points": "point_scores",
}

__all__ = [
    "auroc_difference",
    "bootstrap",
    "bootstrap_difference",
    "fleiss_kappa",
    "reader_f1",
    "score_boxes",
    "score_classes",
    "score_instances",
    "score_points",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOME:
        raise AttributeError(f"module 'regdata.eval' has no attribute {name!r}")
    return getattr(import_module(f"regdata.eval.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
