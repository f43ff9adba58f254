"""The true map of a simulated restaining: a similarity and a smooth elastic displacement.

Conventions
-----------
Points are (x, y) in µm, on either slide level-0 pixels times mpp, origin at the top-left corner
of the top-left pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.errors import RegdataError

_WAVES = 6
_CLOSE_UM = 1e-5
_ROUNDS = 60


@dataclass(frozen=True)
class Warp:
    """H&E µm to IF µm: displace, then turn, scale and shift.

    Attributes
    ----------
    matrix
        (3, 3) similarity, mirrored where its determinant is negative; last row 0, 0, 1.
    waves
        (K, 2) wave vectors, radians per µm of the H&E.
    phases
        (K,) radians.
    amplitudes
        (K, 2) displacement at the crest of each wave, µm of the H&E.
    """

    matrix: NDArray[np.float64]
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    @classmethod
    def affine(cls, matrix: NDArray[np.float64]) -> "Warp":
        """A warp of one (3, 3) matrix, µm, without displacement."""
        return cls(matrix, np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)))

    def points(self, xy_um: Points) -> Points:
        """Points of the H&E mapped to the IF, (..., 2) µm both.

        Examples
        --------
        >>> shift = Warp.affine(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]))
        >>> shift.points(np.array([[1.0, 2.0]])).tolist()
        [[6.0, 2.0]]
        """
        moved = xy_um + self.displacement(xy_um)
        mapped: Points = moved @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return mapped

    def inverse_points(self, xy_um: Points) -> Points:
        """Points of the IF mapped to the H&E, (..., 2) µm both; right to 1e-4 µm.

        Raises
        ------
        RegdataError
            When the displacement folds the plane, so that there is no way back.
        """
        back = np.linalg.inv(self.matrix)
        target: Points = xy_um @ back[:2, :2].T + back[:2, 2]
        guess = target.copy()
        for _ in range(_ROUNDS):
            better = target - self.displacement(guess)
            step = np.abs(better - guess).max(initial=0.0)
            guess = better
            if step < _CLOSE_UM:
                return guess
        raise RegdataError(
            "expected an elastic displacement that can be undone, got one that folds the "
            "tissue; use a smaller amplitude or a longer wavelength"
        )

    def displacement(self, xy_um: Points) -> Points:
        """Elastic displacement at points of the H&E, (..., 2), µm."""
        moved: Points = np.sin(xy_um @ self.waves.T + self.phases) @ self.amplitudes
        return moved


def similarity(rotation_deg: float, mirror: bool, scale: float) -> NDArray[np.float64]:
    """Matrix (3, 3): mirror left to right first, then turn (positive from x to y), then scale."""
    turn = np.deg2rad(rotation_deg)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    flip = -1.0 if mirror else 1.0
    return np.array([[cos * flip, -sin, 0], [sin * flip, cos, 0], [0, 0, 1]])


def elastic(
    matrix: NDArray[np.float64], rms_um: float, wavelength_um: float, rng: np.random.Generator
) -> Warp:
    """A random warp whose displacement is a sum of plane waves.

    Parameters
    ----------
    matrix
        (3, 3) similarity.
    rms_um
        Root mean square length of the displacement.
    wavelength_um
        Mean wavelength; each wave is within 30 % of it.
    rng
        Source of the random directions and phases.
    """
    turn = rng.uniform(0, 2 * np.pi, _WAVES)
    length = wavelength_um * rng.uniform(0.7, 1.3, _WAVES)
    waves = (2 * np.pi / length)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    aim = rng.uniform(0, 2 * np.pi, _WAVES)
    crest = rms_um * np.sqrt(2 / _WAVES)  # a sine of crest 1 has mean square 1/2
    amplitudes = crest * np.stack([np.cos(aim), np.sin(aim)], 1)
    return Warp(matrix, waves, rng.uniform(0, 2 * np.pi, _WAVES), amplitudes)


def frame(
    warp: Warp, size_um: tuple[float, float], corner_um: tuple[float, float], margin_um: float
) -> tuple[Warp, tuple[float, float]]:
    """A warp shifted so that the whole H&E lies inside the IF, and the size of the IF, µm.

    Parameters
    ----------
    warp
        H&E to IF, with any shift.
    size_um
        (w, h) of the H&E.
    corner_um
        Where the top-left corner of its bounding box comes to lie, (x, y) >= 0.
    margin_um
        Room left and above the corner, right of and below the box.

    Returns
    -------
    tuple
        The shifted warp and the (w, h) of the IF, µm.
    """
    t = np.linspace(0, 1, 200)
    sides = [(t, 0 * t), (t, 0 * t + 1), (0 * t, t), (0 * t + 1, t)]
    border = np.concatenate([np.stack(side, 1) for side in sides]) * np.array(size_um)
    landed = warp.points(border)
    low, high = landed.min(0), landed.max(0)
    matrix = warp.matrix.copy()
    matrix[:2, 2] += np.array(corner_um) + margin_um - low
    width, height = np.array(corner_um) + 2 * margin_um + high - low
    shifted = Warp(matrix, warp.waves, warp.phases, warp.amplitudes)
    return shifted, (float(width), float(height))
