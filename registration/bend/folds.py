"""Fields that do not fold: made stiffer, weaker or smoother until no place is turned over.

How far areas shrink is the Jacobian determinant of x + u(x): 1 where nothing changes, 0 where a
fold begins.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.registration.bend.spline_fit import Stiffness
from regdata.registration.pose import Matrix
from regdata.transforms import Displacement, Transform

LEAST_AREA = 0.2
"""What areas may shrink to: tissue does not shrink that far."""
_PER_CELL = 4  # places looked at along a cell
_ROUNDS = 50
_STIFFER = 4.0


def first_without_folds(fields: Iterable[Displacement], least_area: float) -> Displacement | None:
    """The first field in which no area shrinks below a share of itself; None if there is none."""
    return next((field for field in fields if field.min_jacobian() >= least_area), None)


def stiff_enough(
    fit: Callable[[Stiffness], Displacement], stiffness: Stiffness, least_area: float
) -> Displacement:
    """The fit with the least stiffness, from a given one on, that keeps areas.

    Parameters
    ----------
    fit
        The field of a stiffness.
    stiffness
        Tried first, then four times as much, and so on.
    least_area
        What areas may shrink to.
    """
    field = first_without_folds(map(fit, _stiffer(stiffness)), least_area)
    if field is None:  # the stiffer ones never end
        raise RegdataError("expected a fit stiff enough not to fold, got none")
    return field


def _stiffer(stiffness: Stiffness) -> Iterator[Stiffness]:
    while True:
        yield stiffness
        stiffness = Stiffness(_STIFFER * stiffness.bending, _STIFFER * stiffness.slope)


def unfolded(field: Displacement) -> Displacement:
    """The field made smoother where areas shrink to less than a fifth.

    Tissue does not do that; a spline does where there is nothing to hold on to. Elsewhere the
    field stays as it is. Where many rounds of smoothing do not help it may still fold.
    """
    for _ in range(_ROUNDS):
        if field.min_jacobian() >= LEAST_AREA:
            break
        weight = ndimage.gaussian_filter(_shrunk(field).astype(np.float64), 1.0, mode="nearest")
        now = np.asarray(field.coefficients, np.float64)
        smooth = ndimage.gaussian_filter(now, (0, 1.0, 1.0), mode="nearest")
        field = replace(field, coefficients=now + weight * (smooth - now))
    return field


def _shrunk(field: Displacement) -> NDArray[np.bool_]:
    """Control points that reach a place where areas shrink too much."""
    rows, columns = field.coefficients.shape[1:]
    at = (np.arange(rows * _PER_CELL), np.arange(columns * _PER_CELL))
    nodes = np.stack(np.meshgrid(*at[::-1]), axis=2) / _PER_CELL
    areas = np.linalg.det(field.jacobian(field.origin_um + nodes * field.spacing_um))
    shrunk = (areas < LEAST_AREA).reshape(rows, _PER_CELL, columns, _PER_CELL).any((1, 3))
    return np.asarray(ndimage.binary_dilation(shrunk, np.ones((3, 3)), iterations=2))


def checked(field: Displacement, start: Matrix, program: str) -> Transform:
    """The displacement followed by `start`, (3, 3) µm; refused where it turns tissue over.

    Raises
    ------
    RegdataError
        When the field folds.
    """
    smallest = field.min_jacobian()
    if not smallest > 0:
        raise RegdataError(
            f"the deformation that {program} found folds (smallest Jacobian {smallest:.2f}, "
            "expected above 0); use another engine, or the affine map alone"
        )
    return Transform.displaced(field).then(Transform.affine(start))


def behind(field: Displacement | None, he_to_if: Transform) -> Transform:
    """The map with a displacement, if any, put in front of it, µm to µm."""
    return he_to_if if field is None else Transform.displaced(field).then(he_to_if)
