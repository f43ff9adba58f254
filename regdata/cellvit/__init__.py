"""CellViT: nuclei and a token for each of them from one pass of a vision transformer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regdata.cellvit.checkpoint import load_checkpoint
    from regdata.cellvit.classifier import load_classifier
    from regdata.cellvit.config import CellViTConfig
    from regdata.cellvit.network import CellViT
    from regdata.cellvit.pretrained import load_encoder
    from regdata.cellvit.segment import segment
    from regdata.cellvit.weights import Model, load_model

_HOME = {
    "CellViT": "network",
    "CellViTConfig": "config",
    "Model": "weights",
    "load_checkpoint": "checkpoint",
    "load_classifier": "classifier",
    "load_encoder": "pretrained",
    "load_model": "weights",
    "segment": "segment",
}

__all__ = [
    "CellViT",
    "CellViTConfig",
    "Model",
    "load_checkpoint",
    "load_classifier",
    "load_encoder",
    "load_model",
    "segment",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in; torch takes seconds to load."""
    if name not in _HOME:
        raise AttributeError(f"module 'regdata.cellvit' has no attribute {name!r}")
    return getattr(import_module(f"regdata.cellvit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
