"""The best rough pose: candidates of two kinds, each refined a little and then scored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from regdata.files import Progress, silent
from regdata.registration.pose.affine import Descent, refined
from regdata.registration.pose.density import Density, Matrix
from regdata.registration.pose.features import MOST_SCALE, feature_pose
from regdata.registration.pose.similarity import correlation, coverage
from regdata.registration.pose.sweep import sweep

_SWEEP_PX, _SWEEP_MOST = 192, 512  # pixels a side of the longer field, aimed at and at most
_MIDDLE_UM, _MIDDLE_MOST = 2.0, 2048  # µm per pixel for features and scores; pixels at most
_SMALL_PX = 96  # pixels a side that even the smaller field should have
_KEEP = 3  # rotations tried per mirror state
_POLISH = Descent(affine=False, samples=20_000, iterations=40, first=1.0, smallest=0.02)
_CLEAR = 0.15, 2.0  # score, and times that of the other mirror state: more is no chance
_SCALES = (0.83, 0.91, 1.1, 1.2)  # tried where the stated pixel sizes lead nowhere
_SCALES_COARSER = 4 / 3  # times the pixel of the sweep, as so many scales take long
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
    mpp = _middle_mpp(fixed, moving)
    fine = fixed.coarser(mpp), moving.coarser(mpp)
    rough = fixed.coarser(2 * mpp), moving.coarser(2 * mpp)
    band = detail_um(mpp)
    detail = fine[0].band(*band), fine[1].band(*band)

    def best_of(starts: Iterable[Matrix]) -> Pose | None:
        poses: list[Pose] = []
        for start in starts:
            for matrix in (start, refined(*rough, start, 2 * mpp, _POLISH)):
                poses.extend(_scored(*detail, matrix))
        nearest = _best(poses)
        if nearest is not None:
            poses.extend(_scored(*detail, refined(*fine, nearest.matrix, mpp, _POLISH)))
        return _best(poses)

    best = []
    for mirrored in (False, True):
        best.append(best_of(_candidates(fixed, moving, mirrored)))
        progress(0.3 * len(best))
    if not _clear(best):
        best = [
            _best([pose, best_of(_scaled(fixed, moving, mirrored))])
            for mirrored, pose in zip((False, True), best, strict=True)
        ]
    progress(1.0)
    return best[0], best[1]


def better_mirror(poses: Iterable[Pose | None]) -> tuple[Pose | None, float]:
    """The better of the two mirror states, and how many times better it is (10 at most)."""
    ranked = sorted((pose for pose in poses if pose), key=lambda pose: -pose.score)
    if not ranked:
        return None, 0.0
    other = ranked[1].score if len(ranked) > 1 else 0.0
    return ranked[0], float(np.clip(ranked[0].score / max(other, 1e-6), 0.0, 10.0))


def _best(poses: Iterable[Pose | None]) -> Pose | None:
    candidates = (pose for pose in poses if pose is not None)
    return max(candidates, key=lambda pose: pose.score, default=None)


def _clear(best: list[Pose | None]) -> bool:
    """Whether one mirror state has a good pose and the other nothing like it."""
    other, first = sorted(pose.score if pose else 0.0 for pose in best)
    score, times = _CLEAR
    return first > max(score, times * other)


def _middle_mpp(fixed: Density, moving: Density) -> float:
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
    mpp = _middle_mpp(fixed, moving)
    matched = feature_pose(fixed.coarser(mpp), moving.coarser(mpp), mirrored)
    if matched is not None:
        yield matched


def _scaled(fixed: Density, moving: Density, mirrored: bool) -> list[Matrix]:
    mpp = _SCALES_COARSER * _sweep_mpp(fixed, moving)
    return sweep(fixed.coarser(mpp), moving.coarser(mpp), mirrored, _KEEP, _SCALES)


def _scored(fixed: Density, moving: Density, matrix: Matrix) -> Iterator[Pose]:
    """The pose with its score, or nothing when it cannot be right."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if not 1 / MOST_SCALE < scale < MOST_SCALE:
        return
    share = coverage(fixed, moving, matrix)
    if share > _COVERAGE:
        score, _ = correlation(fixed, moving, matrix)
        yield Pose(matrix, score * float(np.sqrt(min(share, 1.0))))
