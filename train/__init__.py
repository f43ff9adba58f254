"""Training: token classifiers on labelled cells, and the built-in segmentation network."""

__all__: list[str] = []
