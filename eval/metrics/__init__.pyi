from .classes import ClassMap, map_classes
from .classification import agreement_scores, cohen_kappa, confusion_matrix, score_classes
from .counts import ImageCounts, Partners, Points, confusion, pair_named, tally
from .detection import ABSENT_IS_ZERO, Conventions, Rates, Scores, f1_scores, score
from .image_score import DetectedNuclei, ImageScore, score_image
from .instances import Overlaps, aji, aji_plus, dice, dice2, overlaps
from .intervals import Estimate, row_means, unit_sums
from .label_truth import agreement
from .matched_image import MatchedImage, cells_table, match_image, write_cells
from .matching import best_edges, match_assigned, match_greedily, match_points
from .paired import Difference, Statistic, bootstrap_difference, mean_f1
from .panoptic import PanopticQuality, class_panoptic_quality, panoptic_quality
from .predictions import Prediction, count, evaluate
from .ranking import Ranked, majority, rank_readers
from .rates import precision_recall_f1, rates_of, ratio
from .robustness import UNCHANGED, perturbations
from .segmentation_scores import ClassScores, SegmentationScores, summarise
from .shift import misplaced

__all__ = [
    "ABSENT_IS_ZERO",
    "UNCHANGED",
    "ClassMap",
    "ClassScores",
    "Conventions",
    "DetectedNuclei",
    "Difference",
    "Estimate",
    "ImageCounts",
    "ImageScore",
    "MatchedImage",
    "Overlaps",
    "PanopticQuality",
    "Partners",
    "Points",
    "Prediction",
    "Ranked",
    "Rates",
    "Scores",
    "SegmentationScores",
    "Statistic",
    "agreement",
    "agreement_scores",
    "aji",
    "aji_plus",
    "best_edges",
    "bootstrap_difference",
    "cells_table",
    "class_panoptic_quality",
    "cohen_kappa",
    "confusion",
    "confusion_matrix",
    "count",
    "dice",
    "dice2",
    "evaluate",
    "f1_scores",
    "majority",
    "map_classes",
    "match_assigned",
    "match_greedily",
    "match_image",
    "match_points",
    "mean_f1",
    "misplaced",
    "overlaps",
    "pair_named",
    "panoptic_quality",
    "perturbations",
    "precision_recall_f1",
    "rank_readers",
    "rates_of",
    "ratio",
    "row_means",
    "score",
    "score_classes",
    "score_image",
    "summarise",
    "tally",
    "unit_sums",
    "write_cells",
]
