"""Deformation by SimpleITK: cubic B-spline, correlation, quasi-Newton descent, coarse to fine."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import Progress, silent
from regdata.registration.bend import in_one_frame, through_samples, unfolded
from regdata.registration.pose import AFFINE, Density, Matrix, refined
from regdata.transforms import Displacement, Transform

sitk: Any = SimpleITK  # its functions carry no types


@dataclass(frozen=True)
class _Level:
    """One step: µm per pixel, distance of control points in pixels, most iterations."""

    mpp: float
    spacing_px: float
    iterations: int


# finer control points bend into whatever noise there is: ITK's spline has no stiffness
_LEVELS = (_Level(4.0, 64, 30), _Level(2.0, 64, 30), _Level(1.0, 64, 30))
_DETAIL = 6.0  # times the pixel: coarser differences, as of uneven light, are taken off
_SAMPLES = 100_000  # pixels the correlation is taken over, about
_SEED = 1


def deform_simpleitk(
    fixed: Density, moving: Density, start: Matrix, progress: Progress = silent
) -> Transform:
    """The whole map, H&E µm to IF µm, with the deformation by SimpleITK.

    An affine refinement, then B-splines of finer and finer control points, each found between
    the densities as those before have brought them together. (ITK's own way to refine a B-spline,
    `scaleFactors`, fails with LBFGSB: what that keeps per parameter is sized for the first mesh.)

    Parameters
    ----------
    fixed, moving
        Densities, H&E and IF.
    start
        (3, 3), H&E µm to IF µm, right to some 30 µm.
    progress
        Called with the share done.

    Returns
    -------
    Transform
        H&E µm to IF µm.

    Raises
    ------
    RegdataError
        When the slides do not overlap or the result folds.
    """
    step = max(_LEVELS[-1].mpp, fixed.mpp)
    matrix = refined(fixed.coarser(step), moving.coarser(step), start, step, AFFINE)
    he_to_if = Transform.affine(matrix)
    for done, level in enumerate(_LEVELS, 1):
        mpp = max(level.mpp, fixed.mpp)
        if done == len(_LEVELS) or mpp > fixed.mpp:  # a coarse slide has no use for all levels
            here = fixed.coarser(mpp)
            there, both = in_one_frame(here, moving, he_to_if)
            here, there = (each.band(mpp, _DETAIL * mpp) for each in (here, there))
            field = unfolded(_spline(here, there, both, level))
            he_to_if = Transform.displaced(field).then(he_to_if)
        progress(done / len(_LEVELS))
    spacing = _LEVELS[-1].spacing_px * step / 4
    columns, rows = np.ceil(fixed.size_um / spacing).astype(int) + 1
    nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2) * spacing
    return through_samples(he_to_if.points(nodes), spacing, matrix, "SimpleITK")


def _spline(
    fixed: Density, moving: Density, both: NDArray[np.bool_], level: _Level
) -> Displacement:
    """What is left between two densities in one frame."""
    spacing = level.spacing_px * fixed.mpp
    mesh = np.ceil(fixed.size_um / spacing).astype(int)
    spline = sitk.BSplineTransform(2, 3)
    spline.SetTransformDomainOrigin((0.0, 0.0))
    spline.SetTransformDomainPhysicalDimensions((mesh * spacing).tolist())
    spline.SetTransformDomainMeshSize(mesh.tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums of several threads differ from run to run
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricFixedMask(_image(both.astype(np.uint8), fixed.mpp))
    share = _SAMPLES / fixed.values.size
    if share < 1:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, _SEED)
    method.SetShrinkFactorsPerLevel([1])
    method.SetSmoothingSigmasPerLevel([0])
    method.SetOptimizerAsLBFGSB(1e-7, level.iterations, 5, 2 * level.iterations, 1e5)
    method.SetInitialTransform(spline, inPlace=True)
    try:
        method.Execute(_image(fixed.values, fixed.mpp), _image(moving.values, fixed.mpp))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise RegdataError(f"SimpleITK failed: {reason}; use another engine") from error
    return _field(spline)


def _image(plane: NDArray[Any], mpp: float) -> Any:
    image = sitk.GetImageFromArray(plane)
    image.SetSpacing((mpp, mpp))
    image.SetOrigin((mpp / 2, mpp / 2))
    return image


def _field(spline: Any) -> Displacement:
    images = spline.GetCoefficientImages()
    control = np.stack([sitk.GetArrayFromImage(image) for image in images])
    return Displacement(np.array(images[0].GetOrigin()), images[0].GetSpacing()[0], control)
