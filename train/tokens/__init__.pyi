from .classifier import TrainingCells, fit_classifier, train_classifier
from .fitting import FitSettings
from .report import FitReport
from .splits import Split

__all__ = [
    "FitReport",
    "FitSettings",
    "Split",
    "TrainingCells",
    "fit_classifier",
    "train_classifier",
]
