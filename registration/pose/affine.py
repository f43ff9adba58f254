"""Refinement of a pose with SimpleITK: correlation of the densities, regular-step descent.

Images carry their spacing in µm and begin half a pixel inside the corner, so ITK's physical
points are µm with the corner origin and its transform (fixed to moving) is `he_to_if` itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK

from regdata.files import Progress, silent
from regdata.registration.pose.density import Density, Matrix
from regdata.registration.pose.similarity import correlation

_sitk: Any = SimpleITK  # its functions carry no types
_SEED = 1  # of the samples, so that a run can be repeated


@dataclass(frozen=True)
class Descent:
    """How far a refinement goes.

    Attributes
    ----------
    affine
        Refine an affine transform; otherwise a similarity (rotation, scale, shift).
    samples
        Pixels inside tissue the correlation is taken over, about, drawn at random.
    iterations
        At most.
    first, smallest
        The first step, and the step at which it has converged; in pixels.
    """

    affine: bool
    samples: int
    iterations: int
    first: float
    smallest: float


AFFINE = Descent(affine=True, samples=60_000, iterations=100, first=0.5, smallest=0.005)


def refined(
    fixed: Density, moving: Density, start: Matrix, blur_um: float, descent: Descent
) -> Matrix:
    """A refined pose, (3, 3) H&E µm to IF µm.

    Parameters
    ----------
    fixed, moving
        Densities, H&E and IF.
    start
        (3, 3), H&E to IF, µm.
    blur_um
        Sigma both are smoothed with; `start` may be off by about twice that.
    descent
        How far to go.

    Returns
    -------
    array
        (3, 3), H&E to IF, µm; `start` when the two do not overlap.
    """
    method = _sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums of several threads differ from run to run
    method.SetMetricAsCorrelation()
    method.SetInterpolator(_sitk.sitkLinear)
    _set_samples(method, fixed, descent.samples)
    method.SetShrinkFactorsPerLevel([1])
    method.SetSmoothingSigmasPerLevel([blur_um])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetOptimizerAsRegularStepGradientDescent(
        descent.first * fixed.mpp, descent.smallest * fixed.mpp, descent.iterations, 0.5, 1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    update = _sitk.AffineTransform(2) if descent.affine else _sitk.Similarity2DTransform()
    update.SetCenter((fixed.size_um / 2).tolist())
    # the update acts on H&E points before `start` does, so that a mirrored start needs no care
    method.SetMovingInitialTransform(_to_itk(start))
    method.SetInitialTransform(update, inPlace=True)
    try:
        with _quiet():
            method.Execute(_image(fixed), _image(moving))
    except RuntimeError:  # ITK's way to say that no sample of the one lies inside the other
        return start
    return start @ _from_itk(update)


def refined_in_steps(
    densities: tuple[Density, Density],
    detail: tuple[Density, Density],
    start: Matrix,
    levels_um: Sequence[float],
    progress: Progress = silent,
) -> Matrix:
    """An affine pose refined from coarse to fine, (3, 3) H&E µm to IF µm.

    Parameters
    ----------
    densities
        H&E and IF.
    detail
        The same at the resolution and in the band of scales they are judged in.
    start
        (3, 3), H&E to IF, µm.
    levels_um
        µm per pixel of the steps; one finer than the densities is their own.
    progress
        Called with the share done.
    """
    fixed, moving = densities
    matrix = start
    for done, level in enumerate(levels_um, 1):
        step = max(level, fixed.mpp)
        finer = refined(fixed.coarser(step), moving.coarser(step), matrix, step, AFFINE)
        # a descent can leave the optimum for good, so it has to prove itself
        matrix = max(finer, matrix, key=lambda m: correlation(*detail, m)[0])
        progress(done / len(levels_um))
    return matrix


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK from warning on standard error of poses without overlap: they are expected."""
    before = _sitk.ProcessObject.GetGlobalWarningDisplay()
    _sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        _sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _set_samples(method: Any, fixed: Density, samples: int) -> None:
    mask = _sitk.GetImageFromArray(fixed.tissue.astype(np.uint8))
    mask.CopyInformation(_image(fixed))
    method.SetMetricFixedMask(mask)
    share = samples / max(1, int(fixed.tissue.sum()))
    if share < 1:
        # not REGULAR: at shares near 1 its stripes throw the descent off now and then
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, _SEED)


def _image(density: Density) -> Any:
    image = _sitk.GetImageFromArray(density.values)
    image.SetSpacing((density.mpp, density.mpp))
    image.SetOrigin((density.mpp / 2, density.mpp / 2))
    return image


def _to_itk(matrix: Matrix) -> Any:
    transform = _sitk.AffineTransform(2)
    transform.SetMatrix(matrix[:2, :2].ravel().tolist())
    transform.SetTranslation(matrix[:2, 2].tolist())
    return transform


def _from_itk(transform: Any) -> Matrix:
    linear = np.array(transform.GetMatrix()).reshape(2, 2)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = shift + centre - linear @ centre
    return matrix
