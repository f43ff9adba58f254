from .classifier import TrainingCells, fit_classifier, train_classifier
from .fitting import FitSettings
from .splits import Split

__all__ = ["FitSettings", "Split", "TrainingCells", "fit_classifier", "train_classifier"]
