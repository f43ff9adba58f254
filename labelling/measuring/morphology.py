"""The shape of a marker's mask: eroded, and without specks (SegPath, Komura et al., 2023)."""

import cv2
import numpy as np
from numpy.typing import NDArray


def shape_mask(mask: NDArray[np.bool_], erode_px: int, min_px: int) -> NDArray[np.bool_]:
    """A mask eroded and without small pieces.

    Parameters
    ----------
    mask
        (H, W); beyond its border it is taken to go on as it is there.
    erode_px
        Steps of erosion by 3x3 pixels, each taking one pixel off every border; 0 for none.
    min_px
        Pieces with fewer pixels after it are dropped; pixels that touch at corners are one piece.

    Returns
    -------
    array
        (H, W) bool.

    Examples
    --------
    >>> mask = np.zeros((9, 9), bool)
    >>> mask[1:6, 1:6] = mask[7, 7] = True
    >>> int(shape_mask(mask, 1, 0).sum()), int(shape_mask(mask, 0, 2).sum())
    (9, 25)
    """
    image = mask.astype(np.uint8)
    if erode_px > 0:
        square = np.ones((3, 3), np.uint8)
        image = np.asarray(cv2.erode(image, square, iterations=erode_px), np.uint8)
    if min_px > 1:
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(image, connectivity=8)
        keep = stats[:, cv2.CC_STAT_AREA] >= min_px
        keep[0] = False
        return np.asarray(keep[pieces])
    return image > 0
