import numpy as np
import pytest
from skimage.filters import threshold_otsu

from regdata.slides.thresholds import otsu


@pytest.mark.parametrize("seed", range(5))
def test_otsu_agrees_with_scikit_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(40, 8, 4000), rng.normal(150, 20, 500)]).clip(0, 255)
    counts = np.bincount(values.astype(int), minlength=256)
    whole = values.astype(int)
    theirs = threshold_otsu(values.astype(np.uint8))
    assert ((whole > otsu(counts)[0]) == (whole > theirs)).all()  # the same two classes


def test_separation() -> None:
    assert otsu(np.array([7, 0, 0, 7]))[1] == pytest.approx(1)
    assert otsu(np.ones(1000, int))[1] == pytest.approx(0.75, abs=0.01)  # a flat histogram
    assert otsu(np.array([0, 9, 0])) == (2, 0.0)
    assert otsu(np.zeros(4, int)) == (3, 0.0)
