"""A smooth displacement of the plane: a cubic B-spline on a square grid of control points.

Conventions
-----------
Points are (x, y) in µm; arrays of control points are (2, rows, cols), the x displacement first.
Control point (r, c) lies at `origin_um + spacing_um * (c, r)`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.transforms.spline import differentiate, displace, smallest_determinant, undo

_MARGIN = 32  # samples


@dataclass(frozen=True)
class Displacement:
    """A displacement u in µm, defined everywhere.

    The spline holds between the second and the last but one control point on either axis; a
    point outside moves as the nearest point of that rectangle does.

    Attributes
    ----------
    origin_um
        (2,), position of control point (0, 0).
    spacing_um
        Distance of neighbouring control points.
    coefficients
        (2, rows, cols) float32 or float64, at least 4 x 4: x, then y displacement in µm.
    """

    origin_um: NDArray[np.float64]
    spacing_um: float
    coefficients: NDArray[np.floating]

    def __post_init__(self) -> None:
        """Refuse what is not a field."""
        _check_grid("control points", self.coefficients, 4)
        if (kind := self.coefficients.dtype) not in (np.float32, np.float64):
            raise RegdataError(f"expected control points in float32 or float64, got {kind}")
        if np.shape(self.origin_um) != (2,) or not np.isfinite(self.origin_um).all():
            raise RegdataError(f"expected the origin of a field as (x, y), got {self.origin_um}")
        if not 0 < self.spacing_um < np.inf:
            raise RegdataError(f"expected a positive spacing of a field, got {self.spacing_um}")

    @classmethod
    def through(
        cls, samples: NDArray[np.floating], origin_um: NDArray[np.float64], spacing_um: float
    ) -> "Displacement":
        """The field that takes given values at the nodes of a grid.

        Parameters
        ----------
        samples
            (2, rows, cols), at least 2 x 2: x, then y displacement in µm.
        origin_um
            (2,), position of sample (0, 0).
        spacing_um
            Distance of neighbouring samples.

        Examples
        --------
        >>> samples = np.zeros((2, 3, 3))
        >>> samples[0, 1, 1] = 4.0
        >>> field = Displacement.through(samples, np.array([0.0, 0.0]), 10.0)
        >>> field.displacement(np.array([10.0, 10.0])).round(9).tolist()
        [4.0, 0.0]
        """
        values = np.asarray(samples, np.float64)
        _check_grid("samples", values, 2)
        # odd reflection continues a slope over the edge, where a mirrored one would turn; how
        # the filter takes the far ends dies out by 0.27 a sample
        around = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
        wide = np.pad(values, around, mode="reflect", reflect_type="odd")
        wide = np.stack([ndimage.spline_filter(plane, order=3, mode="mirror") for plane in wide])
        kept = slice(_MARGIN - 1, 1 - _MARGIN)  # the spline needs one control point a side more
        origin = np.asarray(origin_um, np.float64) - spacing_um
        return cls(origin, float(spacing_um), wide[:, kept, kept].copy())

    def displacement(self, xy_um: Points) -> Points:
        """Displacement u at points, (..., 2) µm; NaN at points that are NaN."""
        points = _flat(xy_um)
        out = np.empty_like(points)
        displace(*self._grid(), points, out)
        return out.reshape(np.shape(xy_um))

    def jacobian(self, xy_um: Points) -> NDArray[np.float64]:
        """Derivative of x + u(x) at points, (..., 2, 2): row x' or y', column x or y."""
        points = _flat(xy_um)
        out = np.empty((len(points), 2, 2))
        differentiate(*self._grid(), points, out)
        return out.reshape(*np.shape(xy_um), 2)

    def undone(self, xy_um: Points) -> Points:
        """Points x with x + u(x) at the given points, (..., 2) µm; right to 1e-5 µm.

        Raises
        ------
        RegdataError
            When the search for one of the points meets a place where the field folds.
        """
        points = _flat(xy_um)
        out = np.empty_like(points)
        lost, first = undo(*self._grid(), points, out)
        if lost:
            x, y = points[first]
            raise RegdataError(
                f"the displacement field folds near ({x:.1f}, {y:.1f}) µm: expected one way back, "
                f"got none or several for {lost} of {len(points)} points; use a smoother field"
            )
        return out.reshape(np.shape(xy_um))

    def min_jacobian(self, per_cell: int = 4) -> float:
        """Smallest Jacobian determinant of x + u(x) on a dense grid; below 0 the field folds.

        A sample, not a proof: between the points looked at it can be a little smaller. The
        outermost cells, where the field is constant outwards, are looked at too.

        Parameters
        ----------
        per_cell
            Points looked at along each side of a cell of the grid.
        """
        _, spacing, coefficients = self._grid()
        return float(smallest_determinant(spacing, coefficients, per_cell))

    def _grid(self) -> tuple[NDArray[np.float64], float, NDArray[np.floating]]:
        origin = np.ascontiguousarray(self.origin_um, np.float64)
        return origin, float(self.spacing_um), np.ascontiguousarray(self.coefficients)


def _check_grid(what: str, values: NDArray[np.floating], least: int) -> None:
    shape = values.shape
    if len(shape) != 3 or shape[0] != 2 or min(shape[1:]) < least:
        wanted = f"(2, rows, cols), {least} x {least} or more"
        raise RegdataError(f"expected {what} of a field as {wanted}, got {shape}")
    if not np.isfinite(values).all():
        raise RegdataError(f"expected finite {what} of a field, some are not")


def _flat(xy_um: Points) -> Points:
    return np.ascontiguousarray(xy_um, np.float64).reshape(-1, 2)
