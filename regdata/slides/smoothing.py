"""Gaussian means of planes: plain, over the pixels that count, and over a larger pixel."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane

_NEXT_TO_NONE = 0.3  # px of sigma that a Gaussian on whole pixels cannot show
_LEAST_WEIGHT = 1e-3  # of a neighbourhood that says anything


def blurred(plane: Plane, sigma: float) -> Plane:
    """The Gaussian mean around every pixel, (H, W) float32; the edge is mirrored.

    Parameters
    ----------
    plane
        (H, W) float32.
    sigma
        In pixels; below 0.3 the plane itself is returned.
    """
    if sigma < _NEXT_TO_NONE:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def blurred_inside(plane: Plane, weight: Plane, sigma: float) -> Plane:
    """The Gaussian mean over the pixels that count, (H, W) float32.

    Parameters
    ----------
    plane
        (H, W) float32, finite everywhere.
    weight
        (H, W) float32, 0 where a pixel does not count.
    sigma
        In pixels.

    Examples
    --------
    >>> plane = np.array([[8, 8, 8, 100, 100]], np.float32)
    >>> blurred_inside(plane, (plane < 10).astype(np.float32), 1.0)[0, :3].round(4).tolist()
    [8.0, 8.0, 8.0]
    """
    total = np.maximum(blurred(weight, sigma), _LEAST_WEIGHT)
    return np.asarray(blurred(plane * weight, sigma) / total, np.float32)


def blurred_to_pitch(plane: NDArray[Any], pitch: float) -> NDArray[Any]:
    """A plane averaged as larger pixels would see it, of the same dtype and shape.

    Parameters
    ----------
    plane
        (H, W) or (H, W, 3).
    pitch
        Side of such a pixel, in pixels of the plane; at 1 nothing is to be done.
    """
    if pitch <= 1.01:
        return plane
    # what OpenCV cannot blur as it is
    image = plane if plane.dtype in (np.uint8, np.uint16, np.float32) else plane.astype(float)
    soft = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 * math.sqrt(pitch**2 - 1)))
    if plane.dtype.kind in "iu":
        soft = np.rint(soft)
    return soft.astype(plane.dtype, copy=False)
