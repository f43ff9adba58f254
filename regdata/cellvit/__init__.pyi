from .networks.checkpoint import load_checkpoint
from .networks.classifier import load_classifier
from .networks.config import CellViTConfig
from .networks.network import CellViT
from .networks.pretrained import load_encoder
from .networks.weights import Model, load_model
from .tiles.whole_slide import segment

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
