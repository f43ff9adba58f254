from .curves import by_preset, matched_classes, precision_recall, with_names
from .point_scores import score_points
from .presets import POINTS, find_preset
from .readers import fleiss_kappa

__all__ = [
    "POINTS",
    "by_preset",
    "find_preset",
    "fleiss_kappa",
    "matched_classes",
    "precision_recall",
    "score_points",
    "with_names",
]
