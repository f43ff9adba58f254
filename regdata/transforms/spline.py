"""The inner loops of a cubic B-spline of displacements: its value, its slope, its inverse.

Conventions
-----------
`c` are control points, (2, rows, cols) µm, x first; (0, 0) lies at `origin`, neighbours are
`spacing` µm apart. Places are counted in control points from there.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.arrays import Points

_CLOSE_UM = 1e-5  # of the last step of an inverse; steps shrink quadratically
_ROUNDS = 60
_HALVINGS = 8


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
def displace(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: Points
) -> None:
    """Displacements at points, (N, 2) µm, into `out`."""
    for i in range(len(xy)):
        tx, ty = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        out[i] = _value(c, tx, ty)


@njit(cache=True, nogil=True)
def differentiate(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: NDArray[np.float64]
) -> None:
    """Derivatives of x + u(x) at points, (N, 2, 2), into `out`."""
    for i in range(len(xy)):
        tx, ty = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        ux, uy, vx, vy = _derivative(c, tx, ty)
        out[i, 0, 0], out[i, 0, 1] = 1.0 + ux / spacing, uy / spacing
        out[i, 1, 0], out[i, 1, 1] = vx / spacing, 1.0 + vy / spacing


@njit(cache=True, nogil=True)
def smallest_determinant(spacing: float, c: NDArray[np.floating], per_cell: int) -> float:
    """The smallest Jacobian determinant of x + u(x), at `per_cell` points a side of each cell."""
    smallest = np.inf
    for row in range((c.shape[1] - 1) * per_cell + 1):
        for col in range((c.shape[2] - 1) * per_cell + 1):
            ux, uy, vx, vy = _derivative(c, col / per_cell, row / per_cell)
            smallest = min(smallest, (1 + ux / spacing) * (1 + vy / spacing) - uy * vx / spacing**2)
    return smallest


@njit(cache=True, nogil=True)
def undo(
    origin: Points, spacing: float, c: NDArray[np.floating], xy: Points, out: Points
) -> tuple[int, int]:
    """Write the x with x + u(x) = xy, (N, 2) µm, into `out`; count and first of unsolved points."""
    lost, first = 0, -1
    for i in range(len(xy)):
        # counted in control points throughout: a + u(a) = target, u in spacings
        x, y = (xy[i, 0] - origin[0]) / spacing, (xy[i, 1] - origin[1]) / spacing
        if np.isfinite(x) and np.isfinite(y):
            solved, ax, ay = _solve(c, spacing, x, y)
            out[i] = ax * spacing + origin[0], ay * spacing + origin[1]
            if not solved:
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
