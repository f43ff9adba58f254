"""What another program found, as the one transform type: brought into one frame and checked.

Conventions
-----------
Points are (x, y) in µm, origin at the top-left corner of the top-left pixel. A program is given
the moving density already pulled through `start`, so that it maps H&E µm to H&E µm and only the
deformation is left to find.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.arrays import Plane
from regdata.errors import RegdataError
from regdata.registration.pose import Density, Matrix
from regdata.transforms import Displacement, Transform

_FEW = 1000  # pixels of tissue both slides show; fewer cannot be deformed
_BAND = 256  # rows mapped at a time
_LEAST_AREA = 0.2  # Jacobian determinant
_PER_CELL = 4  # places looked at along a cell
_ROUNDS = 50


def in_one_frame(
    fixed: Density, moving: Density, he_to_if: Transform
) -> tuple[Density, NDArray[np.bool_]]:
    """The moving density on the grid of the fixed one, and where both show tissue.

    Parameters
    ----------
    fixed, moving
        Densities, H&E and IF.
    he_to_if
        H&E µm to IF µm.

    Raises
    ------
    RegdataError
        When they have next to no tissue in common there.
    """
    moving = moving.coarser(fixed.mpp)
    values, inside = pulled_through(moving, fixed, he_to_if)
    both = inside & fixed.tissue
    if both.sum() < _FEW:
        raise RegdataError(
            f"expected slides that overlap, came {int(both.sum())} pixels of tissue that both "
            "show at the pose to begin with; check the files and their pixel sizes"
        )
    return replace(fixed, values=values, tissue=inside), both


def pulled_through(
    moving: Density, fixed: Density, he_to_if: Transform
) -> tuple[Plane, NDArray[np.bool_]]:
    """The moving density on the fixed grid, and where it has pixels; linear interpolation."""
    height, width = fixed.values.shape
    index = np.empty((height, width, 2), np.float32)
    for top in range(0, height, _BAND):
        rows = np.arange(top, min(top + _BAND, height))
        um = (np.stack(np.meshgrid(np.arange(width), rows), axis=2) + 0.5) * fixed.mpp
        index[top : top + _BAND] = he_to_if.points(um) / moving.mpp - 0.5
    x, y = index[..., 0], index[..., 1]
    values = cv2.remap(moving.values, x, y, cv2.INTER_LINEAR)
    rows_there, columns_there = moving.values.shape
    inside = (x >= 0) & (y >= 0) & (x <= columns_there - 1) & (y <= rows_there - 1)
    return np.asarray(values, np.float32), np.asarray(inside)


def detail_score(fixed: Density, moving: Density, he_to_if: Transform) -> float:
    """Correlation of nuclear detail where a transform puts it, -1 to 1.

    Parameters
    ----------
    fixed, moving
        Densities of which only nuclear detail is left (`nuclear_detail`).
    he_to_if
        H&E µm to IF µm.
    """
    values, inside = pulled_through(moving, fixed, he_to_if)
    where = inside & fixed.tissue
    a, b = fixed.values[where], values[where]
    if len(a) < _FEW or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def checked(field: Displacement, start: Matrix, program: str) -> Transform:
    """The displacement, then `start`; refused where it turns tissue over.

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
    """A displacement, or none, and then a map."""
    return he_to_if if field is None else Transform.displaced(field).then(he_to_if)


def unfolded(field: Displacement) -> Displacement:
    """The field, smoother around places where areas shrink to less than a fifth.

    Tissue does not do that; a spline does where there is nothing to hold on to. Elsewhere the
    field stays as it is. Where many rounds of smoothing do not help it may still fold.
    """
    for _ in range(_ROUNDS):
        if field.min_jacobian() >= _LEAST_AREA:
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
    shrunk = (areas < _LEAST_AREA).reshape(rows, _PER_CELL, columns, _PER_CELL).any((1, 3))
    return np.asarray(ndimage.binary_dilation(shrunk, np.ones((3, 3)), iterations=2))


def through_samples(
    mapped_um: NDArray[np.floating], spacing_um: float, start: Matrix, program: str
) -> Transform:
    """The transform that takes a grid of H&E points where another program took them.

    Parameters
    ----------
    mapped_um
        (rows, cols, 2), where point (c, r) * spacing_um of the H&E lies on the IF, µm.
    spacing_um
        Distance of the points, on the H&E.
    start
        (3, 3), H&E µm to IF µm, about right: what is left becomes a displacement.
    program
        For messages.

    Raises
    ------
    RegdataError
        When a point has no image, or the map folds.
    """
    if not np.isfinite(mapped_um).all():
        lost = int((~np.isfinite(mapped_um)).any(2).sum())
        raise RegdataError(
            f"expected {program} to map every point of the H&E, came nothing for {lost} of "
            f"{mapped_um.shape[0] * mapped_um.shape[1]}; use another engine"
        )
    y, x = np.mgrid[: mapped_um.shape[0], : mapped_um.shape[1]] * spacing_um
    back = Transform.affine(start).inverse().points(np.asarray(mapped_um, np.float64))
    samples = (back - np.stack([x, y], axis=2)).transpose(2, 0, 1)
    return checked(Displacement.through(samples, np.zeros(2), spacing_um), start, program)
