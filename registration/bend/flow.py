"""Dense displacement between two maps of one tile, and how far each pixel of it can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.registration.bend.local import equalised, local_correlation
from regdata.slides import pull_shifted

_BACK_AND_FORTH = 1.0  # px; a way there and back this long says little
_CONTRAST = 0.004  # variance of density at which contrast counts in full: a few pale nuclei


@dataclass(frozen=True)
class Flow:
    """Where the fixed map's pixels lie on the moving one.

    Attributes
    ----------
    shift
        (h, w, 2) pixels: fixed(x) looks like moving(x + shift).
    trust
        (h, w), 0 to 1.
    """

    shift: Plane
    trust: Plane


def dense_flow(fixed: Plane, moving: Plane, window_px: float) -> Flow:
    """Optical flow (DIS; Kroeger et al., ECCV 2016) and how far each pixel can be trusted.

    The contrast of the moving map is brought to that of the fixed one first, window by window:
    uneven light misleads the flow. The trust is the product of agreement there and back, local
    correlation squared and local contrast of both maps.

    Parameters
    ----------
    fixed, moving
        (h, w) density 0 to 1 on one grid.
    window_px
        Sigma of the neighbourhoods.
    """
    moving = equalised(moving, fixed, 0.6 * window_px)
    a, b = _bytes(fixed), _bytes(moving)
    there, back = _dis(a, b), _dis(b, a)
    returned = there + pull_shifted(back, there)
    astray = (returned**2).sum(-1) / _BACK_AND_FORTH**2
    alike, var_a, var_b = local_correlation(fixed, pull_shifted(moving, there), window_px)
    contrast = np.sqrt(np.minimum(var_a / _CONTRAST, 1) * np.minimum(var_b / _CONTRAST, 1))
    trust = np.exp(-astray) * np.maximum(alike, 0) ** 2 * contrast
    return Flow(there, trust.astype(np.float32))


def _bytes(plane: Plane) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = np.rint(255 * np.clip(plane, 0, 1)).astype(np.uint8)
    return values


def _dis(fixed: NDArray[np.uint8], moving: NDArray[np.uint8]) -> Plane:
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*fixed.shape, 2), np.float32)
    return np.asarray(flow.calc(fixed, moving, start), np.float32)
