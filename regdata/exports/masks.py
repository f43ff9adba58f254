"""The pixels of a nucleus within an image, from its outline."""

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int32]
Mask = NDArray[np.uint8]


def pixel_indices(
    contour: NDArray[np.floating], corner: tuple[float, float], step: float
) -> Points:
    """Indices (x, y) of the border pixels a contour runs through.

    Parameters
    ----------
    contour
        (k, 2) through pixel centres, level-0 pixels, corner origin.
    corner
        Top-left corner of the image, level-0 pixels.
    step
        Level-0 pixels per pixel of the image.

    Examples
    --------
    >>> pixel_indices(np.array([[10.5, 4.5], [12.5, 4.5]]), (10, 4), 1.0).tolist()
    [[0, 0], [2, 0]]
    """
    # the centre of pixel i is at i + 0.5
    points = (contour.astype(np.float64) - corner) / step - 0.5
    indices: Points = np.round(points).astype(np.int32)
    return indices


def filled(outline: Points, size: tuple[int, int]) -> tuple[Mask, tuple[int, int]]:
    """The pixels inside and on an outline, cut at the image's edge.

    Parameters
    ----------
    outline
        (k, 2) indices (x, y) of border pixels; may leave the image.
    size
        (w, h) of the image.

    Returns
    -------
    mask, corner
        (h, w) 0 or 1, the part of the nucleus's box that lies in the image, and the (x, y) of its
        first pixel; without pixels if all of the box lies outside.

    Examples
    --------
    >>> filled(np.array([[-1, 2], [-1, 3], [1, 3], [1, 2]], np.int32), (8, 8))[0].tolist()
    [[1, 1], [1, 1]]
    """
    low, high = outline.min(0), outline.max(0) + 1
    w, h = (high - low).tolist()
    # the whole box is drawn first: cv2 draws lines that leave its image a few pixels off
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [outline - low], 1)
    left, top = np.clip(low, 0, size).tolist()
    right, bottom = np.clip(high, 0, size).tolist()
    x, y = low.tolist()
    return mask[top - y : bottom - y, left - x : right - x], (left, top)
