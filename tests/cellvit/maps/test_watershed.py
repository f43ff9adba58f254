from dataclasses import replace

import cv2
import hovernet
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cellvit.maps.maps import PostprocessSettings, step_response
from regdata.cellvit.maps.postprocess import find_cells, separate
from regdata.train.segmentation.targets import hv_map


def same_partition(a: NDArray[np.int32], b: NDArray[np.int32]) -> float:
    """Smallest intersection over union of the instances of `a` with their best in `b`."""
    worst = 1.0
    for i in np.unique(a[a > 0]):
        mine = a == i
        rivals = np.unique(b[mine])
        iou = [(mine & (b == j)).sum() / (mine | (b == j)).sum() for j in rivals if j]
        worst = min(worst, max(iou, default=0.0))
    return worst


@pytest.mark.parametrize("normalise", ["tile", "fixed"])
def test_touching_nuclei_are_separated(normalise: str) -> None:
    settings = PostprocessSettings(normalise=normalise)
    truth = hovernet.ellipses((128, 128), [(40, 40, 14, 12), (66, 42, 13, 12), (60, 90, 10, 20)])
    found, cells = find_cells(hovernet.maps_of(truth), 0.25, settings)
    assert found.max() == len(cells) == 3
    assert same_partition(truth, found) > 0.9
    # the guard: with the HV maps of one big nucleus the first two are one
    merged = np.where(truth == 2, 1, truth).astype(np.int32)
    joined = separate(hovernet.maps_of(truth).nucleus, hv_map(merged), settings)
    assert joined.max() == 2


def test_fixed_limits_make_a_nucleus_independent_of_the_rest_of_the_tile() -> None:
    maps = hovernet.scene(3, (160, 320))
    hv = maps.hv.copy()
    hv[:, 20:60, 250:300] *= 3  # an artefact far from the left half
    spoilt = replace(maps, hv=hv)

    def worst(settings: PostprocessSettings) -> float:
        first, second = (separate(m.nucleus, m.hv, settings)[:, :200] for m in (maps, spoilt))
        return min(same_partition(first, second), same_partition(second, first))

    assert worst(PostprocessSettings(normalise="fixed")) == 1
    assert worst(PostprocessSettings(normalise="tile")) < 1


@pytest.mark.parametrize("sobel", [3, 11, 21, 31])
def test_the_unit_of_the_fixed_limits_is_the_answer_to_a_step(sobel: int) -> None:
    step = np.repeat([[0.0] * 40 + [1.0] * 40], 80, axis=0)
    assert cv2.Sobel(step, cv2.CV_64F, 1, 0, ksize=sobel).max() == step_response(sobel)


def test_specks_are_dropped() -> None:
    truth = hovernet.ellipses((64, 64), [(20, 20, 8, 8)])
    nucleus = hovernet.maps_of(truth).nucleus.copy()
    nucleus[50:52, 50:53] = 0.9  # 6 pixels
    assert separate(nucleus, hv_map(truth), PostprocessSettings()).max() == 1
