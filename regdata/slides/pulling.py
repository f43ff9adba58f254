"""Pixels pulled from a picture: the one place where positions become indices of pixels.

Conventions
-----------
Positions are (x, y) in pixels with the corner origin: pixel i covers i..i + 1 and has its centre
at i + 0.5. Indices, as OpenCV and numpy count them, are 0 at the centre of the first pixel. The
half pixel between the two is added in `pixel_centres` and taken off by all that pulls.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.arrays import Floats, Plane, Points
from regdata.slides.resampling import Pixels
from regdata.slides.slide import Box

_HALF = 0.5
_KERNELS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def pixel_centres(box: Box, step: int = 1) -> Points:
    """Positions of the centres of a box's pixels, (h, w, 2).

    Parameters
    ----------
    box
        In pixels; it may leave the picture.
    step
        Only every `step`-th pixel, from the first to the last that lies inside the box.

    Examples
    --------
    >>> pixel_centres(Box(10, 0, 3, 1), step=2).tolist()
    [[[10.5, 0.5], [12.5, 0.5]]]
    """
    columns = np.arange(box.x, box.x + box.w, step) + _HALF
    rows = np.arange(box.y, box.y + box.h, step) + _HALF
    return np.stack(np.meshgrid(columns, rows), axis=2)


def pull(
    plane: NDArray[Any],
    at: NDArray[np.floating],
    corner: tuple[int, int] = (0, 0),
    kernel: Literal["linear", "cubic"] = "linear",
    beyond: int = cv2.BORDER_CONSTANT,
) -> NDArray[Any]:
    """Values of a plane at positions, (h, w) or (h, w, C) of its dtype; right to 1/32 pixel.

    Parameters
    ----------
    plane
        (H, W) or (H, W, C), part of a larger picture or all of it.
    at
        (h, w, 2), positions in the picture.
    corner
        (x, y), the pixel of the picture that the plane begins with.
    kernel
        How values between pixels are made.
    beyond
        OpenCV's name of what lies around the plane, 0 by default.

    Examples
    --------
    >>> plane = np.array([[0, 10, 20, 30]], np.float32)
    >>> pull(plane, np.array([[[1.5, 0.5], [2.0, 0.5]]])).tolist()
    [[10.0, 15.0]]
    """
    x, y = (np.asarray(at[..., k] - at.dtype.type(corner[k] + _HALF), np.float32) for k in (0, 1))
    return cv2.remap(plane, x, y, _KERNELS[kernel], borderMode=beyond, borderValue=0)


def pixels_around(at: Points) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last pixel, (x, y), that a linear pull at positions (..., 2) looks at."""
    index = (at - _HALF).reshape(-1, 2)
    return np.floor(index.min(0)).astype(int), np.ceil(index.max(0)).astype(int)


def pull_between(
    plane: Plane, nodes: Points, step: int, size: tuple[int, int], corner: NDArray[np.int64]
) -> tuple[Plane, Plane]:
    """Values of a plane, cubic, at positions that are known for every `step`-th pixel only.

    Parameters
    ----------
    plane
        (H, W), part of a larger picture; 0 beyond it.
    nodes
        (rows, columns, 2), positions in the picture.
    step
        Pixels between nodes; positions between them are linear.
    size
        (w, h) of the result.
    corner
        (x, y), the pixel of the picture that the plane begins with.

    Returns
    -------
    values
        (h, w).
    at
        (h, w, 2), the positions, counted from the corner.
    """
    index = ((nodes - _HALF) - corner).astype(np.float32)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32) / step
    at = np.asarray(cv2.remap(index, x, y, cv2.INTER_LINEAR), np.float32)
    values = cv2.remap(plane, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderValue=0)
    return np.asarray(values, np.float32), at + np.float32(_HALF)


def pull_shifted(plane: NDArray[Any], shift: Plane) -> NDArray[Any]:
    """Values of a plane at every pixel plus its shift, linear, edge repeated; shape of the plane.

    Parameters
    ----------
    plane
        (h, w) or (h, w, C).
    shift
        (h, w, 2) float32, x and y, pixels.
    """
    y, x = np.mgrid[: shift.shape[0], : shift.shape[1]].astype(np.float32)
    at = (x + shift[..., 0], y + shift[..., 1])
    return cv2.remap(plane, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class Window:
    """Where a part read from a larger picture lies in it.

    Attributes
    ----------
    corner
        (x, y) of its first pixel.
    extent
        (w, h) of the picture, pixels.
    fill
        Value outside the picture.
    """

    corner: tuple[int, int]
    extent: tuple[float, float]
    fill: int


def pull_exactly(plane: Pixels, at: Floats, window: Window) -> Pixels:
    """Values of a plane at positions, (h, w) of its dtype, by the kernel of Keys (1981).

    It is exact on slopes, where that of OpenCV bends them by up to 1/20 pixel and rounds
    positions to 1/32 pixel. In float64 throughout and counted from the picture's corner, so that
    a value comes out the same to the last bit in whatever window it is computed.

    Parameters
    ----------
    plane
        (H, W), the window's pixels; its own edge is repeated beyond it.
    at
        (h, w, 2), positions in the picture.
    window
        Where the plane lies in it; positions outside the picture give `window.fill`.

    Returns
    -------
    array
        Rounded and clipped to the dtype.

    Examples
    --------
    >>> plane = np.array([[0, 10, 20, 30]], np.uint8)
    >>> at = np.array([[[9.0, 0.5], [9.76, 0.5], [9.5, 1.5]]])
    >>> pull_exactly(plane, at, Window((7, 0), (20, 1), fill=99)).tolist()
    [[15, 23, 99]]
    """
    out = np.empty(at.shape[:2], plane.dtype)
    limits = (-np.inf, np.inf)
    if np.issubdtype(plane.dtype, np.integer):
        limits = (float(np.iinfo(plane.dtype).min), float(np.iinfo(plane.dtype).max))
    place = (*window.corner, *window.extent, window.fill)
    # one memory layout, so that numba compiles once for each dtype
    _pull(np.ascontiguousarray(plane), at, place, limits, out)
    return out


@njit(cache=True, nogil=True)
def _keys(t: float) -> tuple[float, float, float, float]:
    return (
        ((1.0 - 0.5 * t) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((2.0 - 1.5 * t) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


@njit(cache=True, nogil=True)
def _pull(
    plane: Pixels,
    at: Floats,
    place: tuple[int, int, float, float, int],
    limits: tuple[float, float],
    out: Pixels,
) -> None:
    whole = limits[1] < np.inf
    height, width = plane.shape
    x0, y0, wide, high, fill = place
    for row in range(at.shape[0]):
        for column in range(at.shape[1]):
            x, y = at[row, column, 0], at[row, column, 1]
            # put so that a place that is no number is outside, too
            if not (0.0 <= x < wide and 0.0 <= y < high):
                out[row, column] = fill
                continue
            x, y = x - _HALF, y - _HALF
            left, top = np.floor(x), np.floor(y)
            across, down = _keys(x - left), _keys(y - top)
            first_x, first_y = int(left) - x0 - 1, int(top) - y0 - 1
            value = 0.0
            for i in range(4):
                line = plane[min(max(first_y + i, 0), height - 1)]
                total = 0.0
                for j in range(4):
                    total += across[j] * line[min(max(first_x + j, 0), width - 1)]
                value += down[i] * total
            out[row, column] = min(max(np.rint(value), limits[0]), limits[1]) if whole else value
