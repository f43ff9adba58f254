"""How far two patches are still apart: masked normalised cross-correlation over small shifts.

Conventions
-----------
Patches are (h, w) on one grid, NaN where a slide has no pixels. Shifts are (x, y) in µm:
fixed(x) matches moving(x + shift).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from regdata.arrays import Plane
from regdata.registration.pose import MOST_SEEN, fisher_z

Surface = NDArray[np.float64]
Spectrum = NDArray[np.complex64]

_OVERLAP = 0.5  # least share of the pixels of the best covered shift that a shift must have
_FEW = 100  # pixels; fewer say nothing
_CONSTANT = 1e-5  # standard deviation over largest value of a patch: less is rounding
_FLAT = 1e-3  # variance of a part over that of its patch: below it there is nothing in the part
_FIT_UM = 0.75  # half the side of the piece of the surface that the parabola is laid through
_APART_UM = 4.0  # the second best peak is at least this far from the best: a nucleus
# Chance that the peak is the right one, fitted by benchmarks/registration_quality.py
_LEAD, _HEIGHT, _CHANCE = 8.4, 5.95, -2.9
_NOISE = 0.4  # observed over predicted standard deviation, from there too


@dataclass(frozen=True)
class Residual:
    """The shift that is left between two patches, and how far it can be trusted.

    Attributes
    ----------
    shift_um
        (2,) x, y; zero when there is nothing to see.
    at_zero, at_peak
        Correlation at no shift and at this shift, -1 to 1.
    confidence
        0 to 1, the chance that the peak is the right one: by its height and by how far it
        stands out from the second best.
    sd_um
        Predicted standard deviation of the shift along an axis if it is; infinite when there is
        nothing to see.
    """

    shift_um: NDArray[np.float64]
    at_zero: float
    at_peak: float
    confidence: float
    sd_um: float


NOTHING = Residual(np.zeros(2), 0.0, 0.0, 0.0, math.inf)
"""The result for patches that show nothing."""


@dataclass(frozen=True)
class Correlations:
    """Correlation of two patches at every shift of whole pixels up to a reach.

    Attributes
    ----------
    values
        (2 n + 1, 2 n + 1): shift (0, 0) in the middle; NaN where too little overlaps.
    mpp
        µm per pixel.
    area_um2
        Overlap at no shift.
    """

    values: Surface
    mpp: float
    area_um2: float

    @property
    def reach(self) -> int:
        """Largest shift, pixels."""
        return len(self.values) // 2

    def within(self, reach_um: float) -> "Correlations":
        """The correlations at shifts up to a smaller reach, µm."""
        cut = self.reach - min(self.reach, math.ceil(reach_um / self.mpp))
        side = len(self.values)
        inner = self.values[cut : side - cut, cut : side - cut]
        return Correlations(inner, self.mpp, self.area_um2)

    def at(self, shifts_um: NDArray[np.float64]) -> Surface:
        """Correlation at shifts, (N, 2) µm, each at its nearest pixel; (N,)."""
        column, row = (np.rint(shifts_um / self.mpp).astype(int) + self.reach).T
        surface: Surface = self.values[row, column]
        return surface


def residual_shift(fixed: Plane, moving: Plane, mpp: float, reach_um: float) -> Residual:
    """The shift, µm, at which two patches agree best, and its confidence.

    Parameters
    ----------
    fixed, moving
        (h, w) float32 on the same grid, such as hematoxylin and DAPI pulled through a transform;
        NaN where there are no pixels.
    mpp
        µm per pixel.
    reach_um
        Largest shift along either axis.

    Returns
    -------
    Residual
        To a fraction of a pixel.

    Examples
    --------
    >>> import cv2
    >>> moving = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
    >>> moving = cv2.GaussianBlur(moving, (0, 0), 2.0)
    >>> fixed = np.roll(moving, -3, axis=1)  # what is at x here is at x + 3 there
    >>> residual = residual_shift(fixed, moving, mpp=0.5, reach_um=5.0)
    >>> bool(np.allclose(residual.shift_um, [1.5, 0.0], atol=0.1))
    True
    """
    return peak(correlations(fixed, moving, mpp, reach_um))


def correlations(fixed: Plane, moving: Plane, mpp: float, reach_um: float) -> Correlations:
    """Correlations of two patches (h, w) at all shifts, each over the pixels both then have.

    Padfield's formula (IEEE TIP 2012): six products of Fourier transforms.
    """
    reach = math.ceil(reach_um / mpp)
    pad = [fft.next_fast_len(side + reach, real=True) for side in fixed.shape]

    def cross(a: Spectrum, b: Spectrum) -> Surface:
        product = fft.irfft2(np.conj(a) * b, pad)
        wrapped = np.arange(-reach, reach + 1)
        return np.asarray(product[np.ix_(wrapped, wrapped)], np.float64)

    one, square_one, has_one = (fft.rfft2(plane, pad) for plane in _parts(fixed))
    two, square_two, has_two = (fft.rfft2(plane, pad) for plane in _parts(moving))
    count = np.maximum(cross(has_one, has_two), 1e-9)
    sum_one, sum_two = cross(one, has_two), cross(has_one, two)
    covariance = cross(one, two) / count - sum_one * sum_two / count**2
    variance_one = cross(square_one, has_two) / count - (sum_one / count) ** 2
    variance_two = cross(has_one, square_two) / count - (sum_two / count) ** 2
    enough = (count > max(_FEW, _OVERLAP * count.max())) & (
        np.minimum(variance_one, variance_two) > _FLAT
    )
    norm = np.sqrt(np.maximum(variance_one * variance_two, _FLAT**2))
    values = np.where(enough, np.clip(covariance / norm, -1, 1), np.nan)
    return Correlations(values, mpp, float(count[reach, reach]) * mpp**2)


def _parts(patch: Plane) -> tuple[Plane, Plane, Plane]:
    """Values about their mean in standard deviations, their squares, and where there are any."""
    there = np.isfinite(patch)
    known = patch[there].astype(np.float64)
    values = np.zeros(patch.shape, np.float32)
    if known.size and known.std() > _CONSTANT * np.abs(known).max():
        values[there] = (known - known.mean()) / known.std()
    return values, values**2, there.astype(np.float32)


def peak(surface: Correlations) -> Residual:
    """The best shift on a surface of correlations, and its confidence."""
    values = surface.values
    if np.isnan(values).all():
        return NOTHING
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    place = np.array([column, row])
    at_peak, at_zero = float(values[row, column]), float(values[surface.reach, surface.reach])
    step, bend = _parabola(values, place, max(1, round(_FIT_UM / surface.mpp)))
    shift = (place - surface.reach + step) * surface.mpp
    bend = bend / surface.mpp**2
    height = float(fisher_z(at_peak))
    lead = height - float(fisher_z(_second(surface, place)))
    logit = _LEAD * lead + _HEIGHT * height + _CHANCE
    sd = _sd(at_peak, bend, surface.area_um2)
    chance = 1 / (1 + math.exp(-float(np.clip(logit, -30, 30))))
    on_edge = np.abs(place - surface.reach).max() == surface.reach  # it rises on beyond
    confident = 0.0 if on_edge or not math.isfinite(sd) else chance
    return Residual(shift, float(np.nan_to_num(at_zero)), at_peak, confident, sd)


def _parabola(
    values: Surface, place: NDArray[np.int64], half: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offset (x, y) of the top of a paraboloid from a place, pixels, and its (2, 2) Hessian."""
    x, y = (grid.ravel() for grid in np.meshgrid(*[np.arange(-half, half + 1)] * 2))
    columns, rows = place[0] + x, place[1] + y
    inside = (np.minimum(columns, rows) >= 0) & (np.maximum(columns, rows) < len(values))
    x, y, heights = x[inside], y[inside], values[rows[inside], columns[inside]]
    known = np.isfinite(heights)
    terms = np.stack([np.ones_like(x), x, y, x * x / 2, x * y, y * y / 2], 1)[known]
    if known.sum() < 6:
        return np.zeros(2), np.zeros((2, 2))
    _, gx, gy, xx, xy, yy = np.linalg.lstsq(terms.astype(float), heights[known], rcond=None)[0]
    hessian = np.array([[xx, xy], [xy, yy]])
    if xx >= 0 or xx * yy - xy * xy <= 0:
        return np.zeros(2), np.zeros((2, 2))  # a ridge or a saddle: no top
    return np.clip(-np.linalg.solve(hessian, [gx, gy]), -half, half), hessian


def _second(surface: Correlations, place: NDArray[np.int64]) -> float:
    """The best correlation that is not on the slopes of the peak; 0 when there is none."""
    steps = np.arange(len(surface.values))
    away = np.hypot(*np.meshgrid(steps - place[0], steps - place[1])) * surface.mpp
    others = surface.values[(away > _APART_UM) & np.isfinite(surface.values)]
    return max(0.0, float(others.max(initial=0.0)))


def _sd(at_peak: float, hessian: NDArray[np.float64], area_um2: float) -> float:
    """Standard deviation of the top's place along an axis, µm.

    That of matching by least squares in noise as fine as the image itself: with k the relative
    curvature of the peak, variance = (1 / r² - 1) / (independent parts * k), where a part has
    an area of 2 pi / k.
    """
    determinant = float(np.linalg.det(hessian))
    if at_peak <= 0.01 or determinant <= 0:
        return math.inf
    curvature = math.sqrt(determinant) / at_peak
    parts = max(1.0, area_um2 * curvature / (2 * math.pi))
    return _NOISE * math.sqrt((1 / min(at_peak, MOST_SEEN) ** 2 - 1) / (parts * curvature))
