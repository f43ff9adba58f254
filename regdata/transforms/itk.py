"""Transforms to and from ITK (SimpleITK, elastix, 3D Slicer): `.tfm`, `.txt` and `.h5` files.

Conventions
-----------
ITK maps points of the fixed image to the moving one, which with a fixed H&E is `he_to_if`. Its
physical points are taken to be µm with the origin at the top-left corner of the top-left pixel:
an image there has spacing mpp and origin mpp / 2, the centre of its first pixel.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath
from regdata.transforms.displacement import Displacement
from regdata.transforms.steps import Affine, Matrix
from regdata.transforms.transform import Transform

_sitk: Any = SimpleITK  # its functions carry no types

SUFFIXES = (".tfm", ".txt", ".h5", ".hdf5")

_BAND = 256  # rows of a field sampled at a time
_PROBE = 2.0**17  # µm; a power of two divides without rounding


def write_itk(
    path: StrPath, transform: Transform, size_um: tuple[float, float], spacing_um: float
) -> None:
    """Write a transform for ITK.

    An affine transform is written as it is. Any other becomes a composite: a displacement field,
    sampled over the slide mapped from, then an affine. ITK interpolates the field linearly and
    moves nothing beyond it.

    Parameters
    ----------
    path
        Ends in .tfm, .txt, .h5 or .hdf5; text is for small fields.
    transform
        `he_to_if`.
    size_um
        (w, h) of the slide mapped from.
    spacing_um
        Distance of the field's samples.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise RegdataError(f"expected a name in {', '.join(SUFFIXES)} for ITK, got {path}")
    if not (0 < spacing_um < np.inf and min(size_um) > 0 and np.isfinite(size_um).all()):
        raise RegdataError(f"expected a size and a spacing in µm, got {size_um}, {spacing_um}")
    matrix = _affine_part(transform)
    itk = _sitk.AffineTransform(2)
    itk.SetMatrix(matrix[:2, :2].ravel().tolist())
    itk.SetTranslation(matrix[:2, 2].tolist())
    if not transform.is_affine:
        rest = transform.then(Transform.affine(matrix).inverse())
        # the transform that was added last is applied first
        itk = _sitk.CompositeTransform([itk, _sampled(rest, size_um, spacing_um)])
    with replacing(path) as part:
        named = part.with_name(part.name + path.suffix)  # ITK goes by the suffix
        try:
            _sitk.WriteTransform(itk, str(named))
            named.replace(part)
        except RuntimeError as error:
            raise RegdataError(f"cannot write {path}: {_reason(error)}") from error
        finally:
            named.unlink(missing_ok=True)


def read_itk(path: StrPath) -> Transform:
    """The 2-D transform in a file of ITK.

    Translation, scale, Euler, similarity and affine transforms, displacement fields, cubic
    B-splines and composites of these. Within a field B-splines are exact; displacement fields
    are exact at their samples and smooth between, where ITK is linear. Beyond a field points move
    as at its border, where ITK jumps back to no displacement.

    Returns
    -------
    Transform
        From points of ITK's fixed image to its moving image.

    Raises
    ------
    RegdataError
        When the file is missing, damaged, not 2-D or of a kind not in the list.
    """
    path = Path(path)
    if not path.is_file():
        raise RegdataError(f"{path}: no such file; expected a transform of ITK")
    try:
        itk = _sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise RegdataError(
            f"{path} is no transform that ITK can read: {_reason(error)}; expected one in "
            f"{', '.join(SUFFIXES)}"
        ) from error
    if itk.GetDimension() != 2:
        raise RegdataError(f"expected a 2-D transform in {path}, got {itk.GetDimension()}-D")
    try:
        return _from_itk(itk)
    except RegdataError as error:
        raise RegdataError(f"{path}: {error}") from error


def _affine_part(transform: Transform) -> Matrix:
    """What the affine steps do without the displacements."""
    steps = (step for step in transform.steps if isinstance(step, Affine))
    return Transform(tuple(steps)).matrix


def _sampled(transform: Transform, size_um: tuple[float, float], spacing: float) -> Any:
    """Displacements of a transform over a slide, as ITK's field."""
    cols, rows = (int(np.ceil(length / spacing)) + 1 for length in size_um)
    field = np.empty((rows, cols, 2))
    for top in range(0, rows, _BAND):
        y, x = np.mgrid[top : min(top + _BAND, rows), :cols] * spacing
        nodes = np.stack([x, y], axis=2)
        field[top : top + _BAND] = transform.points(nodes) - nodes
    image = _sitk.GetImageFromArray(field, isVector=True)
    image.SetSpacing((spacing, spacing))
    return _sitk.DisplacementFieldTransform(image)


def _from_itk(itk: Any) -> Transform:
    itk, name = itk.Downcast(), itk.GetName()
    if name == "CompositeTransform":
        parts = (itk.GetNthTransform(i) for i in reversed(range(itk.GetNumberOfTransforms())))
        whole = Transform.identity()
        for part in parts:  # the one added last is applied first
            whole = whole.then(_from_itk(part))
        return whole
    if name == "DisplacementFieldTransform":
        image = itk.GetDisplacementField()
        samples = _sitk.GetArrayFromImage(image).transpose(2, 0, 1)
        return _on_grid(image, samples, Displacement.through)
    if name == "BSplineTransform":
        if itk.GetOrder() != 3:
            raise RegdataError(f"expected a cubic B-spline, got order {itk.GetOrder()}")
        images = itk.GetCoefficientImages()
        control = np.stack([_sitk.GetArrayFromImage(image) for image in images])
        return _on_grid(images[0], control, _controlled)
    if itk.IsLinear():
        return Transform.affine(_probed(itk))
    raise RegdataError(
        f"expected a linear transform, displacement field or B-spline of ITK, got {name}"
    )


def _controlled(
    control: NDArray[np.floating], origin: NDArray[np.float64], spacing: float
) -> Displacement:
    return Displacement(origin, spacing, control)


def _on_grid(
    image: Any,
    values: NDArray[np.floating],
    make: Callable[[NDArray[np.floating], NDArray[np.float64], float], Displacement],
) -> Transform:
    """The field `make` gives of (2, rows, cols) values at the pixels of an ITK image.

    Our grids are square and upright. Another one is brought there by an affine map, displaced
    by the same vectors as seen from there, and brought back, which is the same map.
    """
    origin, spacing = np.array(image.GetOrigin()), float(image.GetSpacing()[0])
    axes = np.array(image.GetDirection()).reshape(2, 2) * np.array(image.GetSpacing()) / spacing
    if np.allclose(axes, np.eye(2), rtol=0, atol=1e-12):
        return Transform.displaced(make(values, origin, spacing))
    turned = np.tensordot(np.linalg.inv(axes), values, axes=1)
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = axes, origin
    to_image = Transform.affine(matrix)
    field = Transform.displaced(make(turned, np.zeros(2), spacing))
    return to_image.inverse().then(field).then(to_image)


def _probed(itk: Any) -> Matrix:
    """Matrix of a linear transform of any class, from where it takes three points."""
    corners = ((0.0, 0.0), (_PROBE, 0.0), (0.0, _PROBE))
    shift, x, y = (np.array(itk.TransformPoint(corner)) for corner in corners)
    matrix = np.eye(3)
    matrix[:2] = np.stack([(x - shift) / _PROBE, (y - shift) / _PROBE, shift], axis=1)
    return matrix


def _reason(error: RuntimeError) -> str:
    """The line of ITK's report that says what is wrong."""
    lines = str(error).strip().splitlines()
    reasons = [line for line in lines if "ITK ERROR" in line] or lines[-1:]
    return reasons[0].rsplit("): ", 1)[-1].strip().rstrip(".")
