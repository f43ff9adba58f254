import numpy as np
import pytest
from evaluated import points_only

from regdata.eval.metrics.shift import misplaced


@pytest.mark.parametrize(
    ("scale", "shift"),
    [
        (1.0, (40, -24)),
        (2.0, (0, 0)),
        (2.0, (12, 0)),
        (0.5, (0, 0)),
        (0.8, (-20, 30)),
        (1.25, (8, 8)),
    ],
)
def test_the_shift_and_scale_are_found(scale: float, shift: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    images = []
    for _ in range(3):
        truth = rng.uniform(0, 1200, (120, 2))
        found = np.concatenate([truth * scale + shift, rng.uniform(0, 1200, (20, 2))])
        images.append(points_only(truth, found + rng.normal(0, 1.5, found.shape)))
    fit = misplaced(images, 3.75)
    assert fit is not None
    assert fit.scale == scale
    assert np.abs(np.subtract(fit.shift, shift)).max() <= 6  # within half the radius
    assert fit.f1 > 0.8 > 0.6 > fit.plain
    assert f"scale {scale:g}" in str(fit)


def test_nothing_is_said_of_a_good_fit_or_of_mere_noise() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1200, (150, 2))
    assert misplaced([points_only(truth, truth + 1)], 3.75) is None
    assert misplaced([points_only(truth, rng.uniform(0, 1200, (150, 2)))], 3.75) is None
    nothing = np.zeros((0, 2))
    assert misplaced([points_only(truth, nothing), points_only(nothing, truth)], 3.75) is None
