"""A smooth displacement of the plane: a cubic B-spline on a square grid of control points.

Conventions
-----------
Points are (x, y) in µm; arrays of control points are (2, rows, cols), the x displacement first.
Control point (r, c) lies at `origin_um + spacing_um * (c, r)`.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from regdata.arrays import Points
from regdata.errors import RegdataError

_CLOSE_UM = 1e-5  # of the last step of an inverse; steps shrink quadratically
_MARGIN = 32  # samples
_ROUNDS = 60
_HALVINGS = 8


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
            raise RegdataError(f"expected control points in float32 or float64, came {kind}")
        if np.shape(self.origin_um) != (2,) or not np.isfinite(self.origin_um).all():
            raise RegdataError(f"expected the origin of a field as (x, y), came {self.origin_um}")
        if not 0 < self.spacing_um < np.inf:
            raise RegdataError(f"expected a positive spacing of a field, came {self.spacing_um}")

    @classmethod
    def through(
        cls, samples: NDArray[np.floating], origin_um: NDArray[np.float64], spacing_um: float
    ) -> "Displacement":
        """Field that takes given values at the nodes of a grid.

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
        _displace(*self._grid(), points, out)
        return out.reshape(np.shape(xy_um))

    def jacobian(self, xy_um: Points) -> NDArray[np.float64]:
        """Derivative of x + u(x) at points, (..., 2, 2): row x' or y', column x or y."""
        points = _flat(xy_um)
        out = np.empty((len(points), 2, 2))
        _differentiate(*self._grid(), points, out)
        return out.reshape(*np.shape(xy_um), 2)

    def undone(self, xy_um: Points) -> Points:
        """Points that x + u(x) takes to the given ones, (..., 2) µm; right to 1e-5 µm.

        Raises
        ------
        RegdataError
            When the search for one of the points meets a place where the field folds.
        """
        points = _flat(xy_um)
        out = np.empty_like(points)
        lost, first = _undo(*self._grid(), points, out)
        if lost:
            x, y = points[first]
            raise RegdataError(
                f"the displacement field folds near ({x:.1f}, {y:.1f}) µm: expected one way back, "
                f"came none or several for {lost} of {len(points)} points; use a smoother field"
            )
        return out.reshape(np.shape(xy_um))

    def min_jacobian(self, per_cell: int = 4) -> float:
        """Smallest Jacobian determinant of x + u(x) found on a dense grid; below 0 it folds.

        A sample, not a proof: between the points looked at it can be a little smaller. The
        outermost cells, where the field is constant outwards, are looked at too.

        Parameters
        ----------
        per_cell
            Points looked at along each side of a cell of the grid.
        """
        _, spacing, coefficients = self._grid()
        return float(_smallest_determinant(spacing, coefficients, per_cell))

    def _grid(self) -> tuple[NDArray[np.float64], float, NDArray[np.floating]]:
        origin = np.ascontiguousarray(self.origin_um, np.float64)
        return origin, float(self.spacing_um), np.ascontiguousarray(self.coefficients)


def _check_grid(what: str, values: NDArray[np.floating], least: int) -> None:
    shape = values.shape
    if len(shape) != 3 or shape[0] != 2 or min(shape[1:]) < least:
        wanted = f"(2, rows, cols), {least} x {least} or more"
        raise RegdataError(f"expected {what} of a field as {wanted}, came {shape}")
    if not np.isfinite(values).all():
        raise RegdataError(f"expected finite {what} of a field, some are not")


def _flat(xy_um: Points) -> Points:
    return np.ascontiguousarray(xy_um, np.float64).reshape(-1, 2)


@njit(cache=True, nogil=True)
def _weights(f: float) -> tuple[float, float, float, float]:
    g = 1.0 - f
    inner = (f * f * (3.0 * f - 6.0) + 4.0) / 6.0
    outer = (g * g * (3.0 * g - 6.0) + 4.0) / 6.0
    return g * g * g / 6.0, inner, outer, f * f * f / 6.0


@njit(cache=True, nogil=True)
def _slopes(f: float) -> tuple[float, float, float, float]:
    g = 1.0 - f
    return -g * g / 2.0, f * (3.0 * f - 4.0) / 2.0, -g * (3.0 * g - 4.0) / 2.0, f * f / 2.0


@njit(cache=True, nogil=True)
def _cell(t: float, count: int) -> tuple[int, float, float]:
    """First of the four control points around `t`, place in the cell, and 1.0 or, outside, 0.0."""
    clamped = min(max(t, 1.0), count - 2.0) if t == t else t
    cell = min(int(clamped), count - 3) if t == t else 1  # NaN has no cell, and stays NaN
    return cell - 1, clamped - cell, 1.0 if clamped == t else 0.0


@njit(cache=True, nogil=True)
def _value(c: NDArray[np.floating], tx: float, ty: float) -> tuple[float, float]:
    """Displacement at a place counted in control points."""
    left, fx, _ = _cell(tx, c.shape[2])
    top, fy, _ = _cell(ty, c.shape[1])
    wx, wy = _weights(fx), _weights(fy)
    u, v = 0.0, 0.0
    for r in range(4):
        u_row, v_row = 0.0, 0.0
        for k in range(4):
            u_row += wx[k] * c[0, top + r, left + k]
            v_row += wx[k] * c[1, top + r, left + k]
        u += wy[r] * u_row
        v += wy[r] * v_row
    return u, v


@njit(cache=True, nogil=True)
def _derivative(c: NDArray[np.floating], tx: float, ty: float) -> tuple[float, float, float, float]:
    """Derivative of the displacement, (ux, uy, vx, vy), by a place counted in control points."""
    left, fx, in_x = _cell(tx, c.shape[2])
    top, fy, in_y = _cell(ty, c.shape[1])
    wx, wy, sx, sy = _weights(fx), _weights(fy), _slopes(fx), _slopes(fy)
    ux, uy, vx, vy = 0.0, 0.0, 0.0, 0.0
    for r in range(4):
        u_row, v_row, u_slope, v_slope = 0.0, 0.0, 0.0, 0.0
        for k in range(4):
            u, v = c[0, top + r, left + k], c[1, top + r, left + k]
            u_row += wx[k] * u
            v_row += wx[k] * v
            u_slope += sx[k] * u
            v_slope += sx[k] * v
        ux += wy[r] * u_slope
        vx += wy[r] * v_slope
        uy += sy[r] * u_row
        vy += sy[r] * v_row
    return ux * in_x, uy * in_y, vx * in_x, vy * in_y


@njit(cache=True, nogil=True)
def _displace(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: Points
) -> None:
    for i in range(len(xy)):
        tx, ty = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        out[i] = _value(c, tx, ty)


@njit(cache=True, nogil=True)
def _differentiate(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: NDArray[np.float64]
) -> None:
    for i in range(len(xy)):
        tx, ty = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        ux, uy, vx, vy = _derivative(c, tx, ty)
        out[i, 0, 0], out[i, 0, 1] = 1.0 + ux / spacing, uy / spacing
        out[i, 1, 0], out[i, 1, 1] = vx / spacing, 1.0 + vy / spacing


@njit(cache=True, nogil=True)
def _smallest_determinant(spacing: float, c: NDArray[np.floating], per_cell: int) -> float:
    smallest = np.inf
    for row in range((c.shape[1] - 1) * per_cell + 1):
        for col in range((c.shape[2] - 1) * per_cell + 1):
            ux, uy, vx, vy = _derivative(c, col / per_cell, row / per_cell)
            smallest = min(smallest, (1 + ux / spacing) * (1 + vy / spacing) - uy * vx / spacing**2)
    return smallest


@njit(cache=True, nogil=True)
def _undo(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: Points
) -> tuple[int, int]:
    """Solve for all points; the number of those without a solution, and the first of them."""
    lost, first = 0, -1
    for i in range(len(xy)):
        # counted in control points throughout: a + u(a) = target, u in spacings
        x, y = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        if np.isfinite(x) and np.isfinite(y):
            found, ax, ay = _solve(c, spacing, x, y)
            out[i] = ax * spacing + origin[0], ay * spacing + origin[1]
            if not found:
                first = i if lost == 0 else first
                lost += 1
        else:
            out[i] = xy[i]
    return lost, first


@njit(cache=True, nogil=True)
def _solve(
    c: NDArray[np.floating], spacing: float, x: float, y: float
) -> tuple[bool, float, float]:
    """Newton's method, a step halved until it comes closer."""
    u, v = _value(c, x, y)
    ax, ay = x - u / spacing, y - v / spacing
    u, v = _value(c, ax, ay)
    rx, ry = ax + u / spacing - x, ay + v / spacing - y
    for _ in range(_ROUNDS):
        ux, uy, vx, vy = _derivative(c, ax, ay)
        a, b, d, e = 1 + ux / spacing, uy / spacing, vx / spacing, 1 + vy / spacing
        det = a * e - b * d
        if det <= 0:  # a fold: there are three ways back or none
            break
        dx, dy = (e * rx - b * ry) / det, (a * ry - d * rx) / det
        if (dx * dx + dy * dy) * spacing * spacing <= _CLOSE_UM * _CLOSE_UM:
            return True, ax - dx, ay - dy
        before, share = rx * rx + ry * ry, 1.0
        for _ in range(_HALVINGS):
            nx, ny = ax - share * dx, ay - share * dy
            u, v = _value(c, nx, ny)
            sx, sy = nx + u / spacing - x, ny + v / spacing - y
            if sx * sx + sy * sy < before:
                break
            share /= 2.0
        ax, ay, rx, ry = nx, ny, sx, sy
    return False, ax, ay
