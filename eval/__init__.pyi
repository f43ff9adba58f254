from .comparison import compare, comparison_table
from .conventions.boxes import score_boxes
from .conventions.instance_scores import score_instances
from .conventions.point_scores import score_points
from .conventions.readers import fleiss_kappa, reader_f1
from .experts import Agreed, Reader, agree
from .metrics.classification import score_classes
from .metrics.paired import auroc_difference, bootstrap, bootstrap_difference
from .run import Evaluation, EvaluationSettings, evaluate_cells, evaluate_classifier, find_cells
from .segmentation import (
    SegmentationReport,
    SegmentationSettings,
    class_names,
    detect_at,
    evaluate_segmentation,
)

__all__ = [
    "Agreed",
    "Evaluation",
    "EvaluationSettings",
    "Reader",
    "SegmentationReport",
    "SegmentationSettings",
    "agree",
    "auroc_difference",
    "bootstrap",
    "bootstrap_difference",
    "class_names",
    "compare",
    "comparison_table",
    "detect_at",
    "evaluate_cells",
    "evaluate_classifier",
    "evaluate_segmentation",
    "find_cells",
    "fleiss_kappa",
    "reader_f1",
    "score_boxes",
    "score_classes",
    "score_instances",
    "score_points",
]
