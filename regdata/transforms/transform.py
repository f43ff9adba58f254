"""The one transform between the two slides of a section, in micrometres."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement
from regdata.transforms.steps import Affine, Displaced, Matrix, Step, step_from_dict, step_to_dict

_FITTED = 32  # places a side at which the nearest affine map is fitted


@dataclass(frozen=True)
class Transform:
    """A map of points in µm: affine and displacement steps, one after the other.

    Named by its direction: `he_to_if` maps a point of the H&E slide to the IF slide. Images are
    pulled with `he_to_if`, points of the IF slide are pushed with its inverse. µm on either
    slide are level-0 pixels times that slide's mpp, origin at the top-left corner of the
    top-left pixel, (x, y).

    Attributes
    ----------
    steps
        Applied first to last; none at all is the identity.
    """

    steps: tuple[Step, ...] = ()

    @classmethod
    def identity(cls) -> "Transform":
        """The map that leaves every point where it is."""
        return cls()

    @classmethod
    def affine(cls, matrix: Matrix) -> "Transform":
        """A transform of one (3, 3) matrix, µm to µm, last row 0, 0, 1."""
        return cls((Affine(np.asarray(matrix, np.float64)),))

    @classmethod
    def displaced(cls, field: Displacement) -> "Transform":
        """A transform of one displacement: x to x + u(x)."""
        return cls((Displaced(field),))

    def then(self, following: "Transform") -> "Transform":
        """The transform followed by another; neighbouring matrices become one.

        Examples
        --------
        >>> shift = Transform.affine(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]))
        >>> double = Transform.affine(np.diag([2.0, 2.0, 1.0]))
        >>> shift.then(double).points(np.array([[1.0, 2.0]])).tolist()
        [[12.0, 4.0]]
        """
        steps: list[Step] = []
        for step in self.steps + following.steps:
            if steps and isinstance(step, Affine) and isinstance(last := steps[-1], Affine):
                steps[-1] = Affine(step.matrix @ last.matrix)
            else:
                steps.append(step)
        return Transform(tuple(steps))

    def points(self, xy_um: Points) -> Points:
        """Points mapped to the other slide, µm.

        Parameters
        ----------
        xy_um
            (N, 2) or (..., 2), µm on the slide mapped from.

        Returns
        -------
        array
            The same shape, µm on the slide mapped to.

        Raises
        ------
        RegdataError
            When a displacement has to be undone where it folds.

        Examples
        --------
        >>> shift = Transform.affine(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]))
        >>> shift.points(np.array([[1.0, 2.0]])).tolist()
        [[6.0, 2.0]]
        """
        mapped: Points = np.array(xy_um, np.float64)
        for step in self.steps:
            mapped = step.points(mapped)
        return mapped

    def jacobian(self, xy_um: Points) -> NDArray[np.float64]:
        """Derivative at points, (..., 2, 2): row x' or y', column x or y.

        Its determinant is how many times larger areas become there, negative when mirrored.
        """
        at: Points = np.asarray(xy_um, np.float64)
        derivative: NDArray[np.float64] = np.broadcast_to(np.eye(2), (*at.shape, 2))
        for step in self.steps:
            mapped = step.points(at)
            derivative = step.jacobian(at, mapped) @ derivative
            at = mapped
        return np.array(derivative)

    def inverse(self) -> "Transform":
        """The map back: each step undone, last to first."""
        return Transform(tuple(step.inverse() for step in reversed(self.steps)))

    @property
    def is_affine(self) -> bool:
        """Whether the transform is a single matrix."""
        return all(isinstance(step, Affine) for step in self.steps)

    @property
    def matrix(self) -> Matrix:
        """The matrix (3, 3) of an affine transform, µm to µm.

        Raises
        ------
        RegdataError
            When there is a displacement among the steps.
        """
        matrix: Matrix = np.eye(3)
        for step in self.steps:
            if not isinstance(step, Affine):
                raise RegdataError(
                    "expected an affine transform, got one with a displacement, which no matrix "
                    "can hold; keep it with save_transform"
                )
            matrix = step.matrix @ matrix
        return matrix

    def nearest_affine(self, size_um: Points) -> Matrix:
        """The matrix (3, 3) that agrees best with the transform over a slide of (w, h) µm."""
        if self.is_affine:
            return self.matrix
        share = (np.arange(_FITTED) + 0.5) / _FITTED
        at = np.stack(np.meshgrid(share * size_um[0], share * size_um[1]), 2).reshape(-1, 2)
        ones = np.ones((len(at), 1))
        fit = np.linalg.lstsq(np.hstack([at, ones]), self.points(at), rcond=None)[0]
        return np.vstack([fit.T, [0.0, 0.0, 1.0]])

    def to_dict(self) -> dict[str, Any]:
        """The transform as names, numbers and arrays, for a file."""
        return {str(i): step_to_dict(step) for i, step in enumerate(self.steps)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Transform":
        """The transform that `to_dict` turned into a dictionary."""
        return cls(tuple(step_from_dict(stored[str(i)]) for i in range(len(stored))))
