"""A section drawn in memory and torn in two, for blocks and what is made of them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.registration.bend.blocks import Fit
from regdata.registration.bend.matching import (
    Blocks,
    Search,
)
from regdata.registration.bend.spline_fit import Stiffness
from regdata.registration.pose.density import Density
from regdata.transforms.transform import Transform

SIDE_UM, MPP, GAP = 900.0, 1.0, (420.0, 540.0)
SEARCH = Search(3.0, half=60.0, reach=90.0, step=60.0, contrast=30.0)
FIT = Fit(100.0, Stiffness(1e5, 1.0), apart=10.0)


def nuclei(seed: int = 0) -> NDArray[np.float64]:
    """Two pieces of tissue left and right of a gap."""
    xy = np.random.default_rng(seed).uniform(40, SIDE_UM - 40, (6000, 2))
    return xy[(xy[:, 0] < GAP[0]) | (xy[:, 0] > GAP[1])]


def drawn(xy: NDArray[np.float64], mpp: float = MPP, seed: int = 7) -> Density:
    """Nuclei as soft discs of random brightness."""
    size = round(SIDE_UM / mpp)
    image = np.zeros((size, size), np.float32)
    rng = np.random.default_rng(seed)
    for x, y in xy:
        centre = (round((x / mpp - 0.5) * 16), round((y / mpp - 0.5) * 16))
        radius, value = rng.uniform(2.4, 4.0) / mpp, rng.uniform(0.3, 1.0)
        cv2.circle(image, centre, round(radius * 16), value, -1, cv2.LINE_8, 4)
    image = cv2.GaussianBlur(image, (0, 0), 0.8 / mpp)
    return Density(image, mpp, np.ones(image.shape, np.bool_))


def rigid(degrees: float, shift: tuple[float, float], about: tuple[float, float]) -> Transform:
    a = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    matrix[:2, 2] = np.array(about) - matrix[:2, :2] @ about + shift
    return Transform.affine(matrix)


LEFT, RIGHT = rigid(2, (60, -20), (220, 450)), rigid(-2, (-40, 30), (720, 450))


def torn(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the two pieces went, each on its own."""
    return np.where(xy[:, :1] < GAP[0], LEFT.points(xy), RIGHT.points(xy))


def grid(shift: tuple[float, float] = (0, 0), weight: float = 1.0) -> Blocks:
    x, y = np.meshgrid(np.arange(50.0, 900, 100), np.arange(50.0, 900, 100))
    xy = np.column_stack([x.ravel(), y.ravel()])
    return Blocks(xy, np.tile(np.array(shift, float), (len(xy), 1)), np.full(len(xy), weight))
