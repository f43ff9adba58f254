"""How alike the two slides are at a pose, and how alike they would be by chance."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Floats, Plane
from regdata.registration.pose.density import Density, Matrix

_DIRECTIONS = 12
_RADII = (0.12, 0.20, 0.28, 0.35)  # of the smaller field, how far the null is shifted
_FEW = 200  # pixels; fewer say nothing
MOST_SEEN = 0.999
"""The largest correlation there is to tell apart: 1 has no Fisher transform."""


def fisher_z(correlation: Floats | float) -> Floats:
    """Fisher's z of correlations, arctanh, on which chance spreads alike whatever their size.

    Examples
    --------
    >>> fisher_z(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.549, 3.8]
    """
    return np.asarray(np.arctanh(np.clip(correlation, -MOST_SEEN, MOST_SEEN)))


@dataclass(frozen=True)
class Likeness:
    """Correlation at a pose, beside that of the same pair at shifted poses.

    Attributes
    ----------
    correlation
        Of the two densities inside tissue, -1 to 1.
    null_mean, null_sd
        Of Fisher's z of the correlations at poses shifted by more than a few nuclei.
        On that scale chance spreads alike whatever the correlation, also in small fields.
    """

    correlation: float
    null_mean: float
    null_sd: float

    @property
    def z(self) -> float:
        """Standard deviations above the null."""
        return float(fisher_z(self.correlation) - self.null_mean) / max(self.null_sd, 1e-6)

    def at_z(self, z: float) -> float:
        """The correlation that lies `z` standard deviations above the null."""
        return float(np.tanh(self.null_mean + z * self.null_sd))


def pulled(moving: Density, fixed: Density, he_to_if: Matrix) -> tuple[Plane, NDArray[np.bool_]]:
    """The moving density on the fixed grid (H, W), linear, and the mask of its valid pixels."""
    index = np.linalg.inv(moving.um_from_index) @ he_to_if @ fixed.um_from_index
    size = fixed.values.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    values, inside = (
        np.asarray(cv2.warpAffine(plane, index[:2], size, flags=flags), np.float32)
        for plane in (moving.values, np.ones_like(moving.values))
    )
    return values, inside > 0.99


def correlation(fixed: Density, moving: Density, he_to_if: Matrix) -> tuple[float, int]:
    """Normalised cross-correlation over tissue of the fixed slide that both slides cover.

    Returns
    -------
    correlation
        -1 to 1; 0 where either is constant.
    pixels
        How many it was taken over.
    """
    values, inside = pulled(moving, fixed, he_to_if)
    where = inside & fixed.tissue
    count = int(where.sum())
    if count < _FEW:
        return 0.0, count
    a, b = fixed.values[where], values[where]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return (float(a @ b) / norm if norm > 0 else 0.0), count


def coverage(fixed: Density, moving: Density, he_to_if: Matrix) -> float:
    """Share of the visible nuclei that lie in the common field; the larger of both slides' shares.

    Counted by the square of the density, so that empty glass in common counts for nothing.
    """
    energy = Density(moving.values**2, moving.mpp, moving.tissue)
    values, inside = pulled(energy, fixed, he_to_if)
    of_fixed = (fixed.values[inside] ** 2).sum() / max((fixed.values**2).sum(), 1e-9)
    area = fixed.mpp**2 * abs(np.linalg.det(he_to_if[:2, :2])) / moving.mpp**2
    of_moving = values.sum() * area / max(energy.values.sum(), 1e-9)
    return float(max(of_fixed, of_moving))


def likeness(
    fixed: Density, moving: Density, he_to_if: Matrix, shifts_um: tuple[float, float]
) -> Likeness:
    """The correlation at a pose beside that at 48 shifted ones.

    Slides of the same section agree at one place only; the shapes of tissue in general agree
    at neighbouring places too. So what counts is how far the pose stands out from the others.

    Parameters
    ----------
    fixed, moving
        Densities, H&E and IF, of which only nuclear detail is left (`Density.band`).
    he_to_if
        (3, 3), H&E µm to IF µm.
    shifts_um
        Smallest and largest shift; between them they are shares of the smaller field.
    """
    at_pose, pixels = correlation(fixed, moving, he_to_if)
    null = []
    for shift in _shifts(fixed, moving, shifts_um):
        moved = he_to_if @ shift
        by_chance, count = correlation(fixed, moving, moved)
        if count >= _FEW:
            # chance correlations spread as 1 / sqrt(pixels): bring them to the pixels at hand
            null.append(float(fisher_z(by_chance)) * np.sqrt(count / max(pixels, 1)))
    if pixels < _FEW or len(null) < _DIRECTIONS:
        return Likeness(at_pose, 0.0, 1.0)
    return Likeness(at_pose, float(np.mean(null)), float(np.std(null)))


def _shifts(fixed: Density, moving: Density, limits: tuple[float, float]) -> list[Matrix]:
    field = min(fixed.size_um.min(), moving.size_um.min())
    shifts = []
    for ring, share in enumerate(_RADII):
        radius = np.clip(share * field, *limits)
        for step in range(_DIRECTIONS):
            angle = 2 * np.pi * (step + ring / len(_RADII)) / _DIRECTIONS
            shift = np.eye(3)
            shift[:2, 2] = radius * np.cos(angle), radius * np.sin(angle)
            shifts.append(shift)
    return shifts
