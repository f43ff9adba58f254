"""A dot of the IF lies, pulled into the H&E, where its point does: everything that pulls images."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.registration.bend.deformation import pulled as pulled_map
from regdata.registration.bend.nuclear_map import NuclearMap
from regdata.registration.bend.outside_field import pulled_through
from regdata.registration.pose.density import Density
from regdata.registration.pose.similarity import pulled as pulled_affine
from regdata.simulate.pull import pulled as pulled_planes
from regdata.slides.pulling import Window, pixel_centres, pull, pull_exactly
from regdata.slides.resampling import resample
from regdata.slides.slide import Box
from regdata.transforms.transform import Transform

HE_MPP, SIDE = 0.5, 160  # the H&E grid
IF_MPP, IF_SIDE = 0.8, 140
DOT_UM = np.array([[52.3, 61.9]])  # on the IF
SIGMA_UM = 1.8


def turned(degrees: float) -> Transform:
    a = np.deg2rad(degrees)
    linear = 1.03 * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, DOT_UM[0] - linear @ [37.6, 44.2]
    return Transform.affine(matrix)


def dotted(mpp: float, side: int) -> NDArray[np.float32]:
    """The dot as a camera of this pixel sees it."""
    y, x = (np.mgrid[:side, :side] + 0.5) * mpp
    squared = (x - DOT_UM[0, 0]) ** 2 + (y - DOT_UM[0, 1]) ** 2
    return np.asarray(np.exp(-squared / (2 * SIGMA_UM**2)), np.float32)


def centre_um(plane: NDArray[np.floating], mpp: float) -> NDArray[np.float64]:
    y, x = (np.mgrid[: plane.shape[0], : plane.shape[1]] + 0.5) * mpp
    return np.array([(plane * x).sum(), (plane * y).sum()]) / plane.sum()


def density(values: NDArray[np.float32], mpp: float) -> Density:
    return Density(values, mpp, np.ones(values.shape, np.bool_))


def at_px(he_to_if: Transform) -> NDArray[np.float64]:
    return he_to_if.points(pixel_centres(Box(0, 0, SIDE, SIDE)) * HE_MPP) / IF_MPP


def by_linear(he_to_if: Transform) -> NDArray[np.floating]:
    return pull(dotted(IF_MPP, IF_SIDE), at_px(he_to_if))


def by_cubic_part(he_to_if: Transform) -> NDArray[np.floating]:
    part = np.ascontiguousarray(dotted(IF_MPP, IF_SIDE)[11:, 23:])
    return pull(part, at_px(he_to_if).astype(np.float32), (23, 11), "cubic")


def by_exact_part(he_to_if: Transform) -> NDArray[np.floating]:
    window = Window((23, 11), (IF_SIDE, IF_SIDE), 0)
    return pull_exactly(dotted(IF_MPP, IF_SIDE)[11:, 23:], at_px(he_to_if), window)


def by_planes(he_to_if: Transform) -> NDArray[np.floating]:
    planes = (60_000 * dotted(IF_MPP, IF_SIDE))[None].astype(np.uint16)
    return pulled_planes(planes, at_px(he_to_if).transpose(2, 0, 1).astype(np.float32))[0]


def by_outside_field(he_to_if: Transform) -> NDArray[np.floating]:
    fixed = density(np.zeros((SIDE, SIDE), np.float32), HE_MPP)
    return pulled_through(density(dotted(IF_MPP, IF_SIDE), IF_MPP), fixed, he_to_if)[0]


def by_deformation(he_to_if: Transform) -> NDArray[np.floating]:
    moving = NuclearMap.of(density(dotted(HE_MPP, 240), HE_MPP))  # maps share their pixel
    return pulled_map(moving, he_to_if, Box(0, 0, SIDE, SIDE), HE_MPP)[0]


def by_similarity(he_to_if: Transform) -> NDArray[np.floating]:
    fixed = density(np.zeros((SIDE, SIDE), np.float32), HE_MPP)
    return pulled_affine(density(dotted(IF_MPP, IF_SIDE), IF_MPP), fixed, he_to_if.matrix)[0]


USERS = (
    by_linear,
    by_cubic_part,
    by_exact_part,
    by_planes,
    by_outside_field,
    by_deformation,
    by_similarity,
)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("degrees", [0, 33, 140])
def test_a_pulled_dot_lies_where_its_point_does(
    user: Callable[[Transform], NDArray[np.floating]], degrees: float
) -> None:
    he_to_if = turned(degrees)
    expected = he_to_if.inverse().points(DOT_UM)[0]
    assert centre_um(user(he_to_if), HE_MPP) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6, 3.3])
def test_a_dot_keeps_its_place_at_another_pixel(scale: float) -> None:
    corner = (13.4, 20.7)
    size = (round(110 / scale), round(110 / scale))
    seen = resample(dotted(IF_MPP, IF_SIDE), corner, size, scale)
    expected = DOT_UM[0] - np.array(corner) * IF_MPP
    # OpenCV rounds places to 1/32 pixel
    allowed = IF_MPP * max(1.0, scale) / 20
    assert centre_um(seen, scale * IF_MPP) == pytest.approx(expected, abs=allowed)
