from .recipe import read_recipe
from .training import forget, train_segmentation

__all__ = ["forget", "read_recipe", "train_segmentation"]
