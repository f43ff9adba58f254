"""Deformation by elastix: B-spline, mutual information, stochastic descent.

Klein et al., IEEE TMI 2010. Needs itk-elastix, the extra `elastix`.
"""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import Progress, silent
from regdata.registration.bend import checked, in_one_frame, unfolded
from regdata.registration.pose import Density, Matrix
from regdata.transforms import Displacement, Transform

_FINEST_UM = 0.5  # µm per pixel worked at
_GRID_UM, _GRID_PX = 32.0, 16.0  # of the control points, and the least in pixels
_RESOLUTIONS = 4
_ITERATIONS = 500  # at each
_SAMPLES = 4096
_SEED = 1


def missing_elastix() -> str | None:
    """How to install elastix, or None when it is installed."""
    try:
        version("itk-elastix")
    except PackageNotFoundError:
        return 'elastix is not installed; pip install "regdata[elastix]"'
    return None


def deform_elastix(
    fixed: Density, moving: Density, start: Matrix, progress: Progress = silent
) -> Transform:
    """The whole map, H&E µm to IF µm, with the deformation by elastix.

    Parameters
    ----------
    fixed, moving
        Densities, H&E and IF.
    start
        (3, 3), H&E µm to IF µm, right to some 30 µm.
    progress
        Called with the share done; elastix itself does not say.

    Returns
    -------
    Transform
        H&E µm to IF µm.

    Raises
    ------
    RegdataError
        When itk-elastix is missing or fails, the slides do not overlap, or the result folds.
    """
    if reason := missing_elastix():
        raise RegdataError(reason)
    fixed = fixed.coarser(_FINEST_UM)
    there, both = in_one_frame(fixed, moving, Transform.affine(start))
    progress(0.05)
    with _quiet():
        itk = importlib.import_module("itk")
        images = [_image(itk, plane, fixed.mpp) for plane in (fixed.values, there.values)]
        try:
            _, result = itk.elastix_registration_method(
                *images,
                parameter_object=_settings(itk, fixed.mpp),
                fixed_mask=_image(itk, both.astype(np.uint8), fixed.mpp),
                number_of_threads=1,  # sums of several threads differ from run to run
                log_to_console=False,
            )
        except RuntimeError as error:
            report = str(error).strip().splitlines() or ["it does not say why"]
            raise RegdataError(
                f"elastix failed: {report[-1].strip()}; use another engine"
            ) from error
        field = _field(dict(result.GetParameterMap(0)))
    progress(1.0)
    return checked(unfolded(field), start, "elastix")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of itk's wrapping from users, and from crashing it as errors do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _image(itk: Any, plane: NDArray[Any], mpp: float) -> Any:
    image = itk.image_from_array(np.ascontiguousarray(plane))
    image.SetSpacing([mpp, mpp])
    image.SetOrigin([mpp / 2, mpp / 2])
    return image


def _settings(itk: Any, mpp: float) -> Any:
    grid = max(_GRID_UM, _GRID_PX * mpp)
    settings = itk.ParameterObject.New()
    chosen = settings.GetDefaultParameterMap("bspline", _RESOLUTIONS, grid)
    chosen["MaximumNumberOfIterations"] = (str(_ITERATIONS),)
    chosen["NumberOfSpatialSamples"] = (str(_SAMPLES),)
    chosen["RandomSeed"] = (str(_SEED),)
    chosen["WriteResultImage"] = ("false",)
    chosen["ErodeMask"] = ("false",)
    settings.AddParameterMap(chosen)
    return settings


def _field(parameters: dict[str, tuple[str, ...]]) -> Displacement:
    """The B-spline of elastix itself: the same control points, so nothing is lost by sampling."""

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array(parameters[name], np.float64)

    columns, rows = numbers("GridSize").astype(int)
    control = numbers("TransformParameters").reshape(2, rows, columns)
    spacing = numbers("GridSpacing")
    if parameters["Transform"][0] not in ("BSplineTransform", "RecursiveBSplineTransform") or (
        not np.isclose(*spacing) or not np.allclose(numbers("GridDirection"), [1, 0, 0, 1])
    ):
        raise RegdataError("elastix gave another kind of transform than was requested")
    return Displacement(numbers("GridOrigin"), float(spacing[0]), control)
