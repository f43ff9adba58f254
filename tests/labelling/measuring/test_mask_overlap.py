from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour, cells_of, ragged, random_contours

from regdata.labelling.measuring import measured as measure
from regdata.labelling.measuring.footprint import owners, polygons, rings
from regdata.labelling.measuring.mask_overlap import mask_overlaps

SIZE = (230, 170)


def scene(seed: int, step: float) -> tuple[list[Contour], NDArray[np.bool_], Any]:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=SIZE[::-1]), (0, 0), 4)
    mask = np.pad(noise > 0, 60)

    def stained(corner: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
        x, y = (round(side / step) + 60 for side in corner)
        return mask[y : y + size[1], x : x + size[0]]

    return random_contours(rng, 130, SIZE, beyond=2), mask, stained


@pytest.mark.parametrize("step", [1.0, 2.5])
@pytest.mark.parametrize("block", [1024, 37])
def test_the_share_of_each_nucleus(
    block: int, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_BLOCK", block)
    contours, mask, stained = scene(0, step)
    found = mask_overlaps(cells_of(contours, step), stained, step)
    for share, contour in zip(found, contours, strict=True):
        image = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(image, [contour + 60], 1)
        assert share == pytest.approx(mask[image > 0].mean(), abs=1e-6)


@pytest.mark.parametrize("block", [1024, 37])
def test_the_share_of_each_ring(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BLOCK", block)
    contours, mask, stained = scene(1, 1.0)
    size = (mask.shape[1], mask.shape[0])
    nuclei = polygons(*ragged([contour + 60 for contour in contours]), size)
    around = rings(owners(nuclei, size), 7.5, len(contours))
    told: list[float] = []
    found = mask_overlaps(cells_of(contours), stained, 1.0, 7.5, told.append)
    np.testing.assert_allclose(found, around.share(mask), atol=1e-6)
    assert told[-1] == 1


def test_no_nuclei() -> None:
    _, _, stained = scene(0, 1.0)
    assert mask_overlaps(cells_of([]), stained, 1.0).shape == (0,)
