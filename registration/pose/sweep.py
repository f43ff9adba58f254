"""Coarse poses by trying every rotation: masked cross-correlation over all shifts at once."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from regdata.arrays import Plane
from regdata.registration.pose.density import Density, Matrix

_STEP_DEG = 6.0
_OVERLAP = 0.3  # least share of the smaller field that both must show
_BLUR = 1.5  # px, about what 3 degrees move a pixel half way to the edge
_WIDE = 24.0  # px, sigma of what is taken off as uneven staining


@dataclass(frozen=True)
class _Fixed:
    """Transforms of the fixed image, its square and its field, for Padfield's formula."""

    image: NDArray[np.complex64]
    square: NDArray[np.complex64]
    field: NDArray[np.complex64]
    shape: tuple[int, int]
    pad: int


def sweep(
    fixed: Density,
    moving: Density,
    mirrored: bool,
    keep: int,
    scales: tuple[float, ...] = (1.0,),
) -> list[Matrix]:
    """Poses (H&E to IF, µm) of the best rotations in steps of 6 degrees, best first.

    Correlation is taken where the two fields overlap (Padfield, IEEE TIP 2012), so a part of a
    section is enough; it is weighted by the root of the overlap.

    Parameters
    ----------
    fixed, moving
        Densities of one mpp, a few hundred pixels a side.
    mirrored
        Whether the IF slide lies face down.
    keep
        How many to return; no two are neighbours in rotation.
    scales
        Tried at every rotation: how much larger the section is on the IF slide. A true scale
        may be about 6 % away from one of these.
    """
    turned = _detail(moving)
    corner = int(np.ceil(np.hypot(*turned.shape) / min(scales)))
    context = _prepare(_detail(fixed), corner)

    def best_at(angle: float, scale: float) -> tuple[float, Matrix]:
        least = _OVERLAP * min(fixed.values.size, turned.size / scale**2)
        return _best_shift(context, turned, scale * _linear(angle, mirrored), least)

    best = [
        max((best_at(angle, scale) for scale in scales), key=lambda one: one[0])
        for angle in np.arange(0, 360, _STEP_DEG)
    ]
    scores = np.array([score for score, _ in best])
    to_um = np.linalg.inv(fixed.um_from_index)
    return [moving.um_from_index @ best[i][1] @ to_um for i in _peaks(scores, keep)]


def _detail(density: Density) -> Plane:
    fine = cv2.GaussianBlur(density.values, (0, 0), _BLUR)
    detail: Plane = fine - cv2.GaussianBlur(fine, (0, 0), _WIDE)
    return detail


def _linear(angle_deg: float, mirrored: bool) -> Matrix:
    """(2, 2): rotation after an optional flip of x."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    return np.array([[c, -s], [s, c]]) @ flip


def _prepare(image: Plane, pad: int) -> _Fixed:
    height, width = (fft.next_fast_len(side + pad - 1, real=True) for side in image.shape)
    shape = (height, width)
    field = np.ones_like(image)
    spectra = [fft.rfft2(plane, shape) for plane in (image, image * image, field)]
    return _Fixed(spectra[0], spectra[1], spectra[2], shape, pad)


def _best_shift(fixed: _Fixed, moving: Plane, linear: Matrix, least: float) -> tuple[float, Matrix]:
    """Score and pose (fixed index to moving index) of one rotation's best shift."""
    centre = (np.array(moving.shape[::-1]) - 1) / 2
    offset = centre - linear @ np.full(2, (fixed.pad - 1) / 2)
    matrix = np.column_stack([linear, offset])
    side = (fixed.pad, fixed.pad)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image, field = (
        np.asarray(cv2.warpAffine(plane, matrix, side, flags=flags), np.float32)
        for plane in (moving, np.ones_like(moving))
    )
    scores = _masked_correlation(fixed, image, field, least)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    shift = np.array([column, row]) - (fixed.pad - 1)  # where the turned image begins
    pose = np.eye(3)
    pose[:2] = np.column_stack([linear, offset - linear @ shift])
    return float(scores[row, column]), pose


def _masked_correlation(fixed: _Fixed, image: Plane, field: Plane, least: float) -> Plane:
    def forward(plane: Plane) -> NDArray[np.complex64]:
        spectrum: NDArray[np.complex64] = fft.rfft2(plane[::-1, ::-1], fixed.shape)
        return spectrum

    def back(spectrum: NDArray[np.complex64]) -> Plane:
        plane: Plane = fft.irfft2(spectrum, fixed.shape)
        return plane

    moving, mask = forward(image * field), forward(field)
    square = forward(image * image * field)
    count = np.maximum(back(fixed.field * mask), 1e-3)
    sum_f, sum_m = back(fixed.image * mask), back(fixed.field * moving)
    cross = back(fixed.image * moving) - sum_f * sum_m / count
    spread_f = np.maximum(back(fixed.square * mask) - sum_f**2 / count, 0)
    spread_m = np.maximum(back(fixed.field * square) - sum_m**2 / count, 0)
    norm = np.sqrt(spread_f * spread_m)
    enough = count > least
    if not enough.any():
        return np.zeros_like(count)
    norm = np.maximum(norm, 1e-3 * norm[enough].max() + 1e-9)
    scores: Plane = np.where(enough, cross / norm * np.sqrt(count / count.max()), 0)
    return scores


def _peaks(scores: NDArray[np.float64], keep: int) -> list[int]:
    """Indices of the best scores on a circle, neighbours of a better one left out."""
    picked: list[int] = []
    for i in np.argsort(-scores):
        apart = [min(abs(i - j), len(scores) - abs(i - j)) for j in picked]
        if all(distance > 1 for distance in apart):
            picked.append(int(i))
        if len(picked) == keep:
            break
    return picked
