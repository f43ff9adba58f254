"""The best rough pose: candidates of two kinds, each refined a little and then scored."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from regdata.progress import Progress, silent
from regdata.registration.affine import Descent, refined
from regdata.registration.density import Density, Matrix
from regdata.registration.features import feature_pose
from regdata.registration.similarity import correlation, coverage
from regdata.registration.sweep import sweep

_SWEEP_PX, _SWEEP_MOST = 192, 512  # pixels a side of the longer field, aimed at and at most
_MIDDLE_UM, _MIDDLE_MOST = 2.0, 2048  # µm per pixel for features and scores; pixels at most
_SMALL_PX = 96  # pixels a side that even the smaller field should have
_KEEP = 3  # rotations tried per mirror state
_POLISH = Descent(affine=False, samples=20_000, iterations=40, first=1.0, smallest=0.02)
_SCALE = 1.1  # largest ratio of the slides' true scales to their stated pixel sizes
_COVERAGE = 0.25  # least share of the stained detail both slides must show


@dataclass(frozen=True)
class Pose:
    """A similarity from H&E to IF and how well the slides agree there.

    Attributes
    ----------
    matrix
        (3, 3), µm.
    score
        Correlation of nuclear detail, times the root of the share of it in common.
    """

    matrix: Matrix
    score: float


def detail_um(mpp: float) -> tuple[float, float]:
    """The band of scales (sigma, µm) nuclei lie in, or the finest the pixels allow."""
    fine = max(1.0, mpp)
    return fine, 6 * fine


def coarse_poses(
    fixed: Density, moving: Density, progress: Progress = silent
) -> tuple[Pose | None, Pose | None]:
    """The best pose with the IF slide as it is, and the best with it mirrored.

    Parameters
    ----------
    fixed, moving
        Densities of one mpp, H&E and IF.
    progress
        Called with the share done.
    """
    mpp = middle_mpp(fixed, moving)
    fine = fixed.coarser(mpp), moving.coarser(mpp)
    rough = fixed.coarser(2 * mpp), moving.coarser(2 * mpp)
    band = detail_um(mpp)
    detail = fine[0].band(*band), fine[1].band(*band)
    best: list[Pose | None] = []
    for mirrored in (False, True):
        poses: list[Pose] = []
        for start in _candidates(fixed, moving, mirrored):
            for matrix in (start, refined(*rough, start, 2 * mpp, _POLISH)):
                poses.extend(_scored(*detail, matrix))
        nearest = max(poses, key=lambda pose: pose.score, default=None)
        if nearest is not None:
            poses.extend(_scored(*detail, refined(*fine, nearest.matrix, mpp, _POLISH)))
        best.append(max(poses, key=lambda pose: pose.score, default=None))
        progress(len(best) / 2)
    return best[0], best[1]


def middle_mpp(fixed: Density, moving: Density) -> float:
    """µm per pixel at which features are matched and candidates scored."""
    shortest, longest = _fields(fixed, moving)
    wanted = min(_MIDDLE_UM, shortest / (2 * _SMALL_PX))
    return max(fixed.mpp, wanted, longest / _MIDDLE_MOST)


def _sweep_mpp(fixed: Density, moving: Density) -> float:
    shortest, longest = _fields(fixed, moving)
    wanted = min(longest / _SWEEP_PX, shortest / _SMALL_PX)
    return max(fixed.mpp, wanted, longest / _SWEEP_MOST)


def _fields(fixed: Density, moving: Density) -> tuple[float, float]:
    """Shortest and longest side of the two slides, µm."""
    sides = np.concatenate([fixed.size_um, moving.size_um])
    return float(sides.min()), float(sides.max())


def _candidates(fixed: Density, moving: Density, mirrored: bool) -> Iterator[Matrix]:
    mpp = _sweep_mpp(fixed, moving)
    yield from sweep(fixed.coarser(mpp), moving.coarser(mpp), mirrored, _KEEP)
    mpp = middle_mpp(fixed, moving)
    matched = feature_pose(fixed.coarser(mpp), moving.coarser(mpp), mirrored)
    if matched is not None:
        yield matched


def _scored(fixed: Density, moving: Density, matrix: Matrix) -> Iterator[Pose]:
    """The pose with its score, or nothing when it cannot be right."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if not 1 / _SCALE < scale < _SCALE:
        return
    share = coverage(fixed, moving, matrix)
    if share > _COVERAGE:
        found, _ = correlation(fixed, moving, matrix)
        yield Pose(matrix, found * float(np.sqrt(min(share, 1.0))))
