"""The steps a transform is made of: an affine map, or a displacement or its inverse."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """A step that turns, scales, shears and shifts.

    Attributes
    ----------
    matrix
        (3, 3); the last row is 0, 0, 1.
    """

    matrix: Matrix

    def __post_init__(self) -> None:
        """Refuse what is not an affine map."""
        shape = np.shape(self.matrix)
        if shape != (3, 3):
            raise RegdataError(f"expected a (3, 3) affine matrix, got {shape}")
        last_right = np.allclose(self.matrix[2], [0, 0, 1], rtol=0, atol=1e-9)
        if not np.isfinite(self.matrix).all() or not last_right:
            rows = np.asarray(self.matrix).tolist()
            raise RegdataError(f"expected a finite matrix with last row 0, 0, 1, got {rows}")

    def points(self, xy_um: Points) -> Points:
        """Mapped points, (..., 2) µm as the given ones."""
        mapped: Points = xy_um @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return mapped

    def jacobian(self, xy_um: Points, mapped_um: Points) -> NDArray[np.float64]:
        """Derivative at points, (..., 2, 2)."""
        return np.broadcast_to(self.matrix[:2, :2], (*xy_um.shape, 2))

    def inverse(self) -> "Affine":
        """The inverse step."""
        try:
            back = np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            rows = self.matrix.tolist()
            raise RegdataError(f"expected a matrix that has an inverse, got {rows}") from error
        back[2] = 0, 0, 1
        return Affine(back)


@dataclass(frozen=True)
class Displaced:
    """A step that moves x to x + u(x), or back.

    Attributes
    ----------
    field
        u.
    inverted
        Move a point to where x + u(x) takes it from, found by Newton's method to 1e-5 µm.
    """

    field: Displacement
    inverted: bool = False

    def points(self, xy_um: Points) -> Points:
        """Mapped points, (..., 2) µm as the given ones."""
        if self.inverted:
            return self.field.undone(xy_um)
        return xy_um + self.field.displacement(xy_um)

    def jacobian(self, xy_um: Points, mapped_um: Points) -> NDArray[np.float64]:
        """Derivative at points that `points` maps to `mapped_um`, (..., 2, 2)."""
        if self.inverted:
            return np.asarray(np.linalg.inv(self.field.jacobian(mapped_um)), np.float64)
        return self.field.jacobian(xy_um)

    def inverse(self) -> "Displaced":
        """The inverse step."""
        return Displaced(self.field, not self.inverted)


Step = Affine | Displaced


def step_to_dict(step: Step) -> dict[str, Any]:
    """A step as names, numbers and arrays, for a file."""
    if isinstance(step, Affine):
        return {"kind": "affine", "matrix": step.matrix}
    return {
        "kind": "displacement",
        "origin_um": step.field.origin_um,
        "spacing_um": step.field.spacing_um,
        "coefficients": step.field.coefficients,
        "inverted": int(step.inverted),
    }


def step_from_dict(stored: dict[str, Any]) -> Step:
    """The step that `step_to_dict` turned into a dictionary."""
    kind = stored["kind"]
    if kind == "affine":
        return Affine(np.asarray(stored["matrix"], np.float64))
    if kind != "displacement":
        raise ValueError(f"unknown step {kind}")
    origin, spacing = np.asarray(stored["origin_um"]), float(stored["spacing_um"])
    field = Displacement(origin, spacing, np.asarray(stored["coefficients"]))
    return Displaced(field, bool(stored["inverted"]))
