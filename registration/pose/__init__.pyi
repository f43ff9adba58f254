from .affine import AFFINE, refined, refined_in_steps
from .coarse import better_mirror, coarse_poses, detail_um
from .density import (
    FINEST_UM,
    Density,
    Matrix,
    as_fluorescence,
    dapi_density,
    he_density,
    working_mpp,
)
from .refusal import Limits
from .similarity import MOST_SEEN, Likeness, correlation, fisher_z, likeness

__all__ = [
    "AFFINE",
    "FINEST_UM",
    "MOST_SEEN",
    "Density",
    "Likeness",
    "Limits",
    "Matrix",
    "as_fluorescence",
    "better_mirror",
    "coarse_poses",
    "correlation",
    "dapi_density",
    "detail_um",
    "fisher_z",
    "he_density",
    "likeness",
    "refined",
    "refined_in_steps",
    "working_mpp",
]
