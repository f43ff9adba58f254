from .blocks import Fit, piecewise, shift_field
from .deformation import Round, deform, rounds_at
from .folds import behind, checked, first_without_folds, unfolded
from .matching import Search
from .nuclear_map import NuclearMap, he_map, moving_map
from .outside_field import detail_score, in_one_frame, through_samples
from .spline_fit import Stiffness

__all__ = [
    "Fit",
    "NuclearMap",
    "Round",
    "Search",
    "Stiffness",
    "behind",
    "checked",
    "deform",
    "detail_score",
    "first_without_folds",
    "he_map",
    "in_one_frame",
    "moving_map",
    "piecewise",
    "rounds_at",
    "shift_field",
    "through_samples",
    "unfolded",
]
