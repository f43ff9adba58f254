"""The smooth displacement that agrees best with the evidence: a penalised B-spline.

Minimises the sum of u' W u - 2 b' u over all cells plus a penalty on bending and a small one on
slope, by conjugate gradients; from coarse control points, where the smooth parts of the field and
the places without evidence are settled, to fine ones.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg

from regdata.arrays import Floats
from regdata.registration.bend.evidence import Evidence
from regdata.transforms import Displacement

PER_SPACING = 4  # cells along the distance of two control points
_COARSEST = 6  # distances of control points along the shorter side, at least
_CLOSE = 1e-4  # of the residual, where conjugate gradients stop
_ROUNDS = 80


@dataclass(frozen=True)
class Stiffness:
    """The penalties on a field that is not smooth.

    Attributes
    ----------
    bending
        Weight of the squared second derivatives, integrated over the slide; µm² times evidence.
    slope
        Weight of the squared first derivatives: keeps places without evidence flat.
    """

    bending: float
    slope: float


def fitted(evidence: Evidence, stiffness: Stiffness) -> Displacement:
    """The smooth displacement that fits the evidence best.

    Parameters
    ----------
    evidence
        In cells of a quarter of the spacing wanted.
    stiffness
        See `Stiffness`.

    Returns
    -------
    Displacement
        Defined on the whole slide; control points four cells apart.
    """
    levels = [evidence]
    while min(levels[-1].sums.shape[1:]) >= 2 * PER_SPACING * _COARSEST:
        levels.append(levels[-1].coarser())
    rows, columns = _intervals(levels[-1])
    coefficients = np.zeros((2, rows + 3, columns + 3))
    for step, level in enumerate(reversed(levels)):
        rows, columns = _intervals(level)
        if step:
            halved = _halved(coefficients)[:, : rows + 3, : columns + 3]
            coefficients = np.ascontiguousarray(halved)
        _, height, width = level.sums.shape
        whole = (rows * PER_SPACING - height, columns * PER_SPACING - width)
        sums = np.pad(level.sums, ((0, 0), (0, whole[0]), (0, whole[1])))
        spacing = PER_SPACING * level.cell_um
        # integrals of squared derivatives on a grid: differences over spacing, times its area
        penalties = (stiffness.bending / spacing**2, stiffness.slope)
        coefficients = _conjugate(sums, penalties, coefficients)
    spacing = PER_SPACING * evidence.cell_um
    return Displacement(np.full(2, -spacing), spacing, coefficients.astype(np.float32))


def _intervals(evidence: Evidence) -> tuple[int, int]:
    """Distances of control points along rows and columns that cover all cells."""
    _, height, width = evidence.sums.shape
    return -(-height // PER_SPACING), -(-width // PER_SPACING)


def _conjugate(sums: NDArray[np.float32], penalties: tuple[float, float], start: Floats) -> Floats:
    """Solve the normal equations by conjugate gradients, preconditioned by the diagonal."""
    shape = start.shape
    right = np.zeros(shape)
    _gather(sums[3], right[0])
    _gather(sums[4], right[1])
    diagonal = np.zeros(shape)
    _gather_squares(sums[0], diagonal[0])
    _gather_squares(sums[2], diagonal[1])
    # 20 and 4: what a difference operator has on its diagonal
    diagonal += 20 * penalties[0] + 4 * penalties[1] + 1e-12

    def applied(c: Floats) -> Floats:
        return _applied(sums, penalties, c.reshape(shape)).ravel()

    size = (start.size, start.size)
    solution, _ = cg(
        LinearOperator(size, applied, dtype=np.float64),
        right.ravel(),
        start.ravel(),
        rtol=_CLOSE,
        maxiter=_ROUNDS,
        M=LinearOperator(size, lambda c: c / diagonal.ravel(), dtype=np.float64),
    )
    return np.asarray(solution.reshape(shape), np.float64)


def _applied(sums: NDArray[np.float32], penalties: tuple[float, float], c: Floats) -> Floats:
    """The normal matrix times coefficients."""
    out = np.zeros_like(c)
    _data_term(sums, c, out)
    for plane, target in zip(c, out, strict=True):
        _add_penalty(plane, penalties[0], penalties[1], target)
    return out


def _add_penalty(c: Floats, bending: float, slope: float, out: Floats) -> None:
    """Add the gradient of bending * |D2 c|² + slope * |D c|², halved."""
    across = c[:, 2:] - 2 * c[:, 1:-1] + c[:, :-2]
    down = c[2:] - 2 * c[1:-1] + c[:-2]
    mixed = c[1:, 1:] - c[1:, :-1] - c[:-1, 1:] + c[:-1, :-1]
    across *= bending
    down *= bending
    mixed *= 2 * bending
    out[:, 2:] += across
    out[:, 1:-1] -= 2 * across
    out[:, :-2] += across
    out[2:] += down
    out[1:-1] -= 2 * down
    out[:-2] += down
    out[1:, 1:] += mixed
    out[1:, :-1] -= mixed
    out[:-1, 1:] -= mixed
    out[:-1, :-1] += mixed
    right, below = slope * np.diff(c, axis=1), slope * np.diff(c, axis=0)
    out[:, 1:] += right
    out[:, :-1] -= right
    out[1:] += below
    out[:-1] -= below


def _halved(c: Floats) -> Floats:
    """The same spline with twice as many control points (Catmull & Clark's rule for cubics)."""
    for axis in (1, 2):
        a = np.moveaxis(c, axis, -1)
        out = np.empty((*a.shape[:-1], 2 * a.shape[-1] - 3))
        out[..., 0::2] = (a[..., :-1] + a[..., 1:]) / 2
        out[..., 1::2] = (a[..., :-2] + 6 * a[..., 1:-1] + a[..., 2:]) / 8
        c = np.moveaxis(out, -1, axis)
    return np.ascontiguousarray(c)


def _phases() -> Floats:
    """(4, 4): weights of the four control points around each cell centre of an interval."""
    f = (np.arange(PER_SPACING) + 0.5) / PER_SPACING
    g = 1 - f
    inner = (f**2 * (3 * f - 6) + 4) / 6
    outer = (g**2 * (3 * g - 6) + 4) / 6
    return np.stack([g**3 / 6, inner, outer, f**3 / 6], 1)


_WEIGHTS = _phases()


@njit(cache=True, nogil=True)
def _data_term(sums: NDArray[np.float32], c: Floats, out: Floats) -> None:
    """Add B' W B c: spread to the cells of one row of intervals, weigh, gather again."""
    rows, columns = sums.shape[1:]
    line = np.empty((2, c.shape[2]))
    back = np.empty((2, c.shape[2]))
    for row in range(rows):
        top, phase = row // 4, row % 4
        for j in range(c.shape[2]):
            for axis in range(2):
                total = 0.0
                for k in range(4):
                    total += _WEIGHTS[phase, k] * c[axis, top + k, j]
                line[axis, j] = total
                back[axis, j] = 0.0
        for column in range(columns):
            left, phase_x = column // 4, column % 4
            xx, xy, yy = sums[0, row, column], sums[1, row, column], sums[2, row, column]
            if xx == 0.0 and yy == 0.0:
                continue
            u, v = 0.0, 0.0
            for k in range(4):
                w = _WEIGHTS[phase_x, k]
                u += w * line[0, left + k]
                v += w * line[1, left + k]
            a, b = xx * u + xy * v, xy * u + yy * v
            for k in range(4):
                w = _WEIGHTS[phase_x, k]
                back[0, left + k] += w * a
                back[1, left + k] += w * b
        for axis in range(2):
            for k in range(4):
                w = _WEIGHTS[phase, k]
                for j in range(c.shape[2]):
                    out[axis, top + k, j] += w * back[axis, j]


@njit(cache=True, nogil=True)
def _gather(cells: NDArray[np.float32], out: Floats) -> None:
    """Add B' of a plane of cells."""
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            value = cells[row, column]
            if value != 0.0:
                for i in range(4):
                    w = _WEIGHTS[row % 4, i] * value
                    for k in range(4):
                        out[row // 4 + i, column // 4 + k] += w * _WEIGHTS[column % 4, k]


@njit(cache=True, nogil=True)
def _gather_squares(cells: NDArray[np.float32], out: Floats) -> None:
    """Add the diagonal of B' W B."""
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            value = cells[row, column]
            if value != 0.0:
                for i in range(4):
                    w = _WEIGHTS[row % 4, i] ** 2 * value
                    for k in range(4):
                        out[row // 4 + i, column // 4 + k] += w * _WEIGHTS[column % 4, k] ** 2
