"""Whether predicted cells are shifted from annotated points, or in pixels of another size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from regdata.arrays import Floats
from regdata.eval.metrics.matched_image import MatchedImage
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.rates import precision_recall_f1

_SCALES = (1.0, 0.5, 0.8, 1.25, 2.0)
_REACH_UM = 20.0
_BIN_UM = 1.0
_LOW, _GAIN = 0.6, 0.15
_MOST = 2000  # points of an image that vote; more add no information


@dataclass(frozen=True)
class Fit:
    """Shift and scale that fit annotated points to predicted cells: scale * annotated + shift.

    Attributes
    ----------
    shift
        (x, y) in pixels of the image.
    f1, plain
        F1 of detection with this shift and scale, and without.
    """

    scale: float
    shift: tuple[int, int]
    f1: float
    plain: float

    def __str__(self) -> str:
        """One line of warning."""
        x, y = self.shift
        return (
            f"detection F1 is {self.plain:.2f}, but best F1 {self.f1:.2f} at shift ({x}, {y}) px, "
            f"scale {self.scale:g}: found = scale x annotated + shift. The annotations seem to be "
            "of another frame or resolution; bring them to the pixels of the images"
        )


def misplaced(images: Sequence[MatchedImage], radius_um: float) -> Fit | None:
    """Shift and scale that explain a low F1; None where it is not low, or nothing explains it."""
    plain = _f1(images, 1.0, (0.0, 0.0), radius_um)
    if plain >= _LOW:
        return None
    best = Fit(1.0, (0, 0), plain, plain)
    for scale in _SCALES:
        shift_um = _peak(images, scale, radius_um)
        f1 = _f1(images, scale, shift_um, radius_um)
        if f1 > best.f1 + 1e-9:
            x, y = (round(value / images[0].mpp) for value in shift_um)
            best = Fit(scale, (x, y), f1, plain)
    return best if best.f1 > plain + _GAIN else None


def _peak(images: Sequence[MatchedImage], scale: float, radius_um: float) -> tuple[float, float]:
    """The shift in µm that brings most points within the radius of one another."""
    reach = _REACH_UM + radius_um
    count = 2 * int(np.ceil(reach / _BIN_UM)) + 1
    edges = (np.arange(count + 1) - count / 2) * _BIN_UM
    votes = np.zeros((count, count))
    for matched in images:
        truth, cells = (_some(points) * matched.mpp for points in (_named(matched), matched.xy))
        if len(truth) == 0 or len(cells) == 0:
            continue
        near = cKDTree(scale * truth).sparse_distance_matrix(
            cKDTree(cells), reach * np.sqrt(2), output_type="ndarray"
        )
        apart = cells[near["j"]] - scale * truth[near["i"]]
        votes += np.histogram2d(apart[:, 0], apart[:, 1], (edges, edges))[0]
    centres = (edges[:-1] + edges[1:]) / 2
    disc = np.hypot(*np.meshgrid(centres, centres)) <= radius_um / 2
    blurred = fftconvolve(votes, disc.astype(np.float64), mode="same")
    outside = np.abs(centres) > _REACH_UM
    blurred[outside], blurred[:, outside] = -1, -1
    x, y = np.unravel_index(int(blurred.argmax()), blurred.shape)
    return float(centres[x]), float(centres[y])


def _f1(
    images: Sequence[MatchedImage], scale: float, shift_um: tuple[float, float], radius_um: float
) -> float:
    pairs = cells = points = 0
    for matched in images:
        moved = scale * _named(matched) + np.array(shift_um) / matched.mpp
        pairs += len(match_points(moved, matched.xy, radius_um / matched.mpp))
        cells += len(matched.xy)
        points += len(moved)
    return float(precision_recall_f1(pairs, cells, points, empty=0.0)[2])


def _named(matched: MatchedImage) -> Floats:
    return matched.image.points_xy[matched.truth >= 0]


def _some(points: Floats) -> Floats:
    return points[:: len(points) // _MOST + 1]
