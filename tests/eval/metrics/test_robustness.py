import numpy as np
import pytest

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.cells.positions import centroids
from regdata.eval.metrics.robustness import (
    Perturbation,
    blur,
    coarsen,
    jpeg,
    perturbations,
    scale_stain,
)
from regdata.slides.stain import HED_FROM_RGB


def picture(height: int = 33, width: int = 46) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(90, 250, (height, width, 3)).astype(np.uint8)


def smooth(height: int = 33, width: int = 46) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [170 + 40 * np.sin(x / 9 + c) + 20 * np.cos(y / 7) for c in range(3)]
    return np.stack(planes, -1).astype(np.uint8)


def stains(rgb: np.ndarray) -> np.ndarray:
    return -np.log((rgb.astype(float) + 1) / 256) @ HED_FROM_RGB


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_stain_densities_are_scaled(factor: float) -> None:
    rgb = np.full((1, 1, 3), (150, 110, 170), np.uint8)
    before, after = stains(rgb)[0, 0], stains(scale_stain(rgb, factor))[0, 0]
    assert after[:2] == pytest.approx(before[:2] * factor, abs=0.01)  # of whole numbers
    assert after[2] == pytest.approx(before[2], abs=0.01)
    assert scale_stain(picture(), 1.0).tolist() == picture().tolist()


def test_blur_spreads_a_dot_as_its_sigma_says() -> None:
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    spread = blur(dot, 1.0)[..., 0].astype(float)
    assert spread[10, 10] / 255 == pytest.approx(1 / (2 * np.pi), abs=0.01)
    assert spread[10, 11] / spread[10, 10] == pytest.approx(np.exp(-0.5), abs=0.02)


def test_jpeg_keeps_the_colour_and_loses_detail() -> None:
    plain = np.full((16, 16, 3), (200, 120, 160), np.uint8)
    assert np.abs(jpeg(plain, 50).astype(int) - plain).max() <= 3
    lost = [np.abs(jpeg(picture(), q).astype(int) - picture()).mean() for q in (95, 50)]
    assert 0 < lost[0] < lost[1]


def test_coarse_pixels_lose_what_is_finer_and_shift_nothing() -> None:
    rgb = smooth()
    assert np.abs(coarsen(rgb, 2.0).astype(int) - rgb)[3:-3, 3:-3].max() <= 2
    board = np.indices((32, 32)).sum(0) % 2 * 200
    flat = coarsen(np.repeat(board[..., None], 3, -1).astype(np.uint8), 2.0)
    assert np.ptp(flat) <= 1


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_nuclei_stay_on_their_pixels(turns: int) -> None:
    rgb = picture()
    instances = np.zeros(rgb.shape[:2], np.int32)
    instances[4:9, 30:33], instances[20:22, 3:9] = 1, 2
    rgb[instances == 1], rgb[instances == 2] = (1, 2, 3), (4, 5, 6)
    turned = Perturbation("t", turns=turns).apply(
        AnnotatedNuclei("a", rgb, instances, np.array([0, 2, 1], np.uint8)[instances])
    )
    assert set(map(tuple, turned.rgb[turned.instances == 1])) == {(1, 2, 3)}
    assert set(map(tuple, turned.rgb[turned.instances == 2])) == {(4, 5, 6)}
    assert turned.kinds is not None
    assert turned.kinds.tolist() == [2, 1]
    x, y = centroids(instances)[0]
    expected = {1: (y, 46 - x), 2: (46 - x, 33 - y), 3: (33 - y, x)}[turns]
    assert tuple(centroids(turned.instances)[0]) == expected


def test_the_table_begins_with_the_image_as_it_is_and_leaves_sizes() -> None:
    changes = perturbations(0.25)
    image = AnnotatedNuclei("a", picture(), np.ones((33, 46), np.int32))
    assert changes[0].apply(image).rgb.tolist() == image.rgb.tolist()
    assert len({change.name for change in changes}) == len(changes) == 9
    for change in changes[1:]:
        changed = change.apply(image)
        assert changed.rgb.dtype == np.uint8
        assert changed.rgb.shape[:2] == changed.instances.shape
        assert changed.rgb.tolist() != image.rgb.tolist()
    assert len(perturbations(0.5)) == 8
