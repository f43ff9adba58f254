from .blocks import Fit, Search, piecewise, shift_field
from .deformation import Round, deform, rounds_at
from .nuclear_map import NuclearMap, he_map, moving_map
from .outside_field import behind, checked, detail_score, in_one_frame, through_samples, unfolded
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
    "he_map",
    "in_one_frame",
    "moving_map",
    "piecewise",
    "rounds_at",
    "shift_field",
    "through_samples",
    "unfolded",
]
