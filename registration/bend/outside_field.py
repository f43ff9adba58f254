"""Results of other programs as the one transform type, brought into one frame and checked.

Conventions
-----------
Points are (x, y) in µm, origin at the top-left corner of the top-left pixel. A program is given
the moving density already pulled through `start`, so that it maps H&E µm to H&E µm and only the
deformation is left to find.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.errors import RegdataError
from regdata.registration.bend.folds import checked
from regdata.registration.pose import Density, Matrix
from regdata.slides import Box, pixel_centres, pull
from regdata.transforms import Displacement, Transform

_FEW = 1000  # pixels of tissue both slides show; fewer cannot be deformed
_BAND = 256  # rows mapped at a time
_ROUNDING = 1e-4  # px of a position that are none


def in_one_frame(
    fixed: Density, moving: Density, he_to_if: Transform
) -> tuple[Density, NDArray[np.bool_]]:
    """The moving density on the grid of the fixed one, and the mask (H, W) of common tissue.

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
            f"expected slides that overlap, got {int(both.sum())} pixels of tissue that both "
            "show at the pose to begin with; check the files and their pixel sizes"
        )
    return replace(fixed, values=values, tissue=inside), both


def pulled_through(
    moving: Density, fixed: Density, he_to_if: Transform
) -> tuple[Plane, NDArray[np.bool_]]:
    """The moving density on the fixed grid (H, W), linear, and the mask of its valid pixels."""
    height, width = fixed.values.shape
    values, inside = np.empty((height, width), np.float32), np.empty((height, width), np.bool_)
    edge = 0.5 - _ROUNDING  # beside it there is one pixel only to interpolate from
    last = np.array(moving.values.shape[::-1]) - edge
    for top in range(0, height, _BAND):
        centres = pixel_centres(Box(0, top, width, min(_BAND, height - top)))
        at = he_to_if.points(centres * fixed.mpp) / moving.mpp
        values[top : top + _BAND] = pull(moving.values, at)
        inside[top : top + _BAND] = ((at >= edge) & (at <= last)).all(2)
    return values, inside


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
            f"expected {program} to map every point of the H&E, got nothing for {lost} of "
            f"{mapped_um.shape[0] * mapped_um.shape[1]}; use another engine"
        )
    y, x = np.mgrid[: mapped_um.shape[0], : mapped_um.shape[1]] * spacing_um
    back = Transform.affine(start).inverse().points(np.asarray(mapped_um, np.float64))
    samples = (back - np.stack([x, y], axis=2)).transpose(2, 0, 1)
    return checked(Displacement.through(samples, np.zeros(2), spacing_um), start, program)
