from .recipe import read_recipe
from .training import train_segmentation

__all__ = ["read_recipe", "train_segmentation"]
