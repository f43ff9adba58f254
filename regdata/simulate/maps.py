"""Coarse maps of a whole picture: made from masks, looked up at points, interpolated over tiles.

Conventions
-----------
Points, boxes and distances are full-resolution pixels, (x, y), corner origin. A map is (h, w)
float32 and `COARSE` times coarser; its pixel i covers COARSE * i to COARSE * (i + 1).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.simulate.noise import Plane
from regdata.slides import Box

COARSE = 4
"""Full-resolution pixels per pixel of a coarse map."""
_FAR = 1e4
"""Distance where there is no border to be near to, in coarse pixels."""


def upsample(coarse: Plane, box: Box) -> Plane:
    """A coarse map (h, w) interpolated over a full-resolution box, (box.h, box.w)."""
    scale = 1 / COARSE
    shift = [(start + 0.5) * scale - 0.5 for start in (box.x, box.y)]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(
        coarse, matrix, (box.w, box.h), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(fine, np.float32)


def lookup(coarse: Plane, xy: NDArray[np.float64]) -> Plane:
    """Values (N,) of a coarse map (h, w) at points (N, 2) px, each from the nearest pixel."""
    column = np.clip((xy[:, 0] / COARSE).astype(int), 0, coarse.shape[1] - 1)
    row = np.clip((xy[:, 1] / COARSE).astype(int), 0, coarse.shape[0] - 1)
    return np.asarray(coarse[row, column], np.float32)


def signed_distance(mask: NDArray[np.bool_]) -> Plane:
    """Distance to the border of a coarse mask, (h, w) float32 px, positive inside."""
    inside = mask.astype(np.uint8)
    far = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    far = far - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    far = np.clip(far, -_FAR, _FAR)  # infinite where there is no border
    return np.asarray(cv2.GaussianBlur(far, (0, 0), 1.0) * COARSE, np.float32)
