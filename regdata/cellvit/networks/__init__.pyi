from .catalogue import ENCODERS, HEADS, HEADS_OF, WEIGHTS, has_regression
from .checkpoint import check_entries, load_checkpoint
from .classifier import (
    Classifier,
    ClassifierInfo,
    TokenClassifier,
    apply_classifier,
    choose_classifier,
    kinds_of,
    load_classifier,
    naming,
    save_classifier,
)
from .config import CellViTConfig
from .encoder_file import EncoderFacts
from .file_kinds import Description, NetworkFacts, describe
from .network import CellViT
from .pretrained import load_encoder
from .trainable import trainable_config
from .variants import PUBLISHED, terms
from .weights import Model, default_weights, fast_precision, load_model, pick_device

__all__ = [
    "ENCODERS",
    "HEADS",
    "HEADS_OF",
    "PUBLISHED",
    "WEIGHTS",
    "CellViT",
    "CellViTConfig",
    "Classifier",
    "ClassifierInfo",
    "Description",
    "EncoderFacts",
    "Model",
    "NetworkFacts",
    "TokenClassifier",
    "apply_classifier",
    "check_entries",
    "choose_classifier",
    "default_weights",
    "describe",
    "fast_precision",
    "has_regression",
    "kinds_of",
    "load_checkpoint",
    "load_classifier",
    "load_encoder",
    "load_model",
    "naming",
    "pick_device",
    "save_classifier",
    "terms",
    "trainable_config",
]
