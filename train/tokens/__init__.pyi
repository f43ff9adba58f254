from .classifier import TrainingCells, fit_classifier, train_classifier
from .fitting import FitSettings
from .frequency import as_frequent
from .report import FitReport
from .splits import Split

__all__ = [
    "FitReport",
    "FitSettings",
    "Split",
    "TrainingCells",
    "as_frequent",
    "fit_classifier",
    "train_classifier",
]
