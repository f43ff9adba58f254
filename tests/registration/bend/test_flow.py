import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.registration.bend.flow import dense_flow
from regdata.registration.bend.local import equalised, local_correlation, window_mean
from regdata.registration.bend.polish import polish_terms

Plane = NDArray[np.float32]


def spots(shift: tuple[float, float] = (0, 0), seed: int = 0, side: int = 256) -> Plane:
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side), np.float32)
    for x, y in rng.uniform(0, side, (side * side // 400, 2)) + shift:
        cv2.circle(image, (round(x * 16), round(y * 16)), 7 * 16, 0.8, -1, cv2.LINE_8, 4)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


INNER = np.s_[40:-40, 40:-40]


def test_a_shift_is_found_and_trusted() -> None:
    flow = dense_flow(spots(), spots((3.0, -2.0)), 16.0)
    trusted = flow.trust[INNER] > 0.3
    assert trusted.mean() > 0.5
    assert np.allclose(np.median(flow.shift[INNER][trusted], 0), [3, -2], atol=0.3)


def test_other_nuclei_are_not_trusted() -> None:
    same = dense_flow(spots(), spots((1.0, 0)), 16.0).trust[INNER].mean()
    other = dense_flow(spots(), spots(seed=5), 16.0).trust[INNER].mean()
    assert other < 0.2 * same


def test_uneven_light_does_not_mislead() -> None:
    light = np.linspace(0.15, 1, 256, dtype=np.float32)[None]
    flow = dense_flow(spots(), spots((2.0, 0)) * light, 16.0)
    off = np.abs(flow.shift - [2, 0]).max(-1)[INNER]
    assert np.median(off[flow.trust[INNER] > 0.2]) < 0.3


def test_glass_is_not_trusted() -> None:
    blank = np.zeros((128, 128), np.float32)
    assert dense_flow(blank, blank, 16.0).trust.max() < 1e-3


def test_the_polish_asks_for_the_shift_that_is_left() -> None:
    fixed, moving = spots(), spots((0.4, -0.3))
    present = np.full((256, 256, 2), 5.0, np.float32)
    terms = polish_terms(fixed, moving, present, 0.5, 10.0)[(slice(None), *INNER)]
    xx, xy, yy, bx, by = terms.sum((1, 2))
    solved = np.linalg.solve([[xx, xy], [xy, yy]], [bx, by])
    # one step goes most of the way: sampled discs are no ideal images
    assert np.all(np.abs(solved - [5.2, 4.85]) < 0.5 * np.array([0.2, 0.15]))


def test_an_edge_says_nothing_along_itself() -> None:
    edge = np.zeros((96, 96), np.float32)
    edge[:, 48:] = 1
    edge = cv2.GaussianBlur(edge, (0, 0), 2.0)
    xx, _, yy, _, _ = polish_terms(edge, edge, np.zeros((96, 96, 2), np.float32), 0.5, 8.0)
    assert yy.sum() < 1e-6 * xx.sum()


def test_a_wide_window_is_a_gaussian() -> None:
    plane = np.random.default_rng(0).random((203, 150)).astype(np.float32)
    exact = cv2.GaussianBlur(plane, (0, 0), 12.0)
    assert np.abs(window_mean(plane, 12.0) - exact)[30:-30, 30:-30].max() < 0.004
    point = np.zeros((203, 150), np.float32)
    point[100, 75] = 1
    point = cv2.GaussianBlur(point, (0, 0), 4.0)
    y, x = np.mgrid[:203, :150]
    spread = window_mean(point, 12.0)
    middle = (spread * x).sum() / spread.sum(), (spread * y).sum() / spread.sum()
    assert np.allclose(middle, (75, 100), atol=0.1)


def test_contrast_is_brought_to_that_of_the_other() -> None:
    fixed = spots()
    same = equalised(0.2 * fixed + 0.3, fixed, 12.0)
    assert np.abs(same - fixed)[INNER].mean() < 0.03


def test_correlation_by_hand() -> None:
    a = spots()
    alike, _, _ = local_correlation(a, 0.5 * a + 0.1, 12.0)
    opposite, _, _ = local_correlation(a, 1 - a, 12.0)
    assert alike[INNER].min() > 0.98
    assert opposite[INNER].max() < -0.98
