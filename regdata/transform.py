"""The one transform between the two slides of a section, in micrometres."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """An affine map of points in µm.

    Named by its direction: `he_to_if` maps a point of the H&E slide to the IF slide. Images are
    pulled with `he_to_if`, points of the IF slide are pushed with its inverse. µm on either
    slide are level-0 pixels times that slide's mpp, origin at the top-left corner of the
    top-left pixel, (x, y).

    Attributes
    ----------
    matrix
        (3, 3); the last row is 0, 0, 1.
    """

    matrix: NDArray[np.float64]

    @classmethod
    def identity(cls) -> "Transform":
        """The map that leaves every point where it is."""
        return cls(np.eye(3))

    def points(self, xy_um: Points) -> Points:
        """Map points.

        Parameters
        ----------
        xy_um
            (N, 2) or (..., 2), µm on the slide mapped from.

        Returns
        -------
        array
            The same shape, µm on the slide mapped to.

        Examples
        --------
        >>> shift = Transform(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]))
        >>> shift.points(np.array([[1.0, 2.0]])).tolist()
        [[6.0, 2.0]]
        """
        mapped: Points = xy_um @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return mapped

    def inverse(self) -> "Transform":
        """The map back."""
        return Transform(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """What a file keeps of it: plain numbers."""
        return {"kind": "affine", "unit": "um", "matrix": self.matrix.tolist()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Transform":
        """Read back what `to_dict` gave."""
        return cls(np.asarray(stored["matrix"], dtype=np.float64))
