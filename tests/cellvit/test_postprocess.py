import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.cellvit.postprocess import Maps, PostprocessSettings, mean_tokens, measure, separate
from regdata.train.targets import hv_map


def ellipses(shape: tuple[int, int], parts: list[tuple[int, int, int, int]]) -> NDArray[np.int32]:
    """Instances 1..n from (x, y, half width, half height), later ones on top."""
    rows, columns = np.indices(shape)
    out = np.zeros(shape, np.int32)
    for i, (x, y, a, b) in enumerate(parts, 1):
        out[((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1] = i
    return out


def maps_of(instances: NDArray[np.int32], kinds: NDArray[np.float32] | None = None) -> Maps:
    nucleus = np.where(instances > 0, 0.9, 0.05).astype(np.float32)
    if kinds is None:
        kinds = np.stack([1 - nucleus, nucleus])
    tokens = np.arange(np.prod([-(-s // 16) for s in instances.shape]), dtype=np.float32)
    tokens = tokens.reshape(1, -(-instances.shape[0] // 16), -1)
    return Maps(nucleus, hv_map(instances), kinds, tokens, 16)


def same_partition(a: NDArray[np.int32], b: NDArray[np.int32]) -> float:
    """Smallest intersection over union of the instances of `a` with their best in `b`."""
    worst = 1.0
    for i in np.unique(a[a > 0]):
        mine = a == i
        rivals = np.unique(b[mine])
        iou = [(mine & (b == j)).sum() / (mine | (b == j)).sum() for j in rivals if j]
        worst = min(worst, max(iou, default=0.0))
    return worst


def test_touching_nuclei_are_separated() -> None:
    truth = ellipses((128, 128), [(40, 40, 14, 12), (66, 42, 13, 12), (60, 90, 10, 20)])
    found = separate(maps_of(truth).nucleus, hv_map(truth), PostprocessSettings())
    assert found.max() == 3
    assert same_partition(truth, found) > 0.9
    # the guard: with the HV maps of one big nucleus the first two are one
    merged = np.where(truth == 2, 1, truth).astype(np.int32)
    joined = separate(maps_of(truth).nucleus, hv_map(merged), PostprocessSettings())
    assert joined.max() == 2


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_no_nucleus(value: float) -> None:
    empty = np.full((64, 64), value, np.float32)
    found = separate(empty, np.zeros((2, 64, 64), np.float32), PostprocessSettings())
    assert found.max() == 0
    assert len(measure(found, maps_of(found), 0.25, 10)) == 0


def test_specks_are_dropped() -> None:
    truth = ellipses((64, 64), [(20, 20, 8, 8)])
    nucleus = maps_of(truth).nucleus.copy()
    nucleus[50:52, 50:53] = 0.9  # 6 pixels
    assert separate(nucleus, hv_map(truth), PostprocessSettings()).max() == 1


def test_measures_by_hand() -> None:
    instances = np.zeros((32, 32), np.int32)
    instances[4:10, 8:20] = 7  # rows 4-9, columns 8-19
    kinds = np.zeros((3, 32, 32), np.float32)
    kinds[0] = 0.5
    kinds[1], kinds[2] = 0.1, 0.4
    cells = measure(instances, maps_of(instances, kinds), 0.5, 10)
    assert isinstance(cells, CellTable)
    assert cells.xy.tolist() == [[14.0, 7.0]]  # corner origin: the middle of columns 8..19 is 14
    assert cells.area_um2.tolist() == [72 * 0.25]
    assert cells.kind.tolist() == [2]
    assert cells.kind_probability[0] == pytest.approx(0.8)  # of what is not background
    assert cells.probability[0] == pytest.approx(0.9)
    contour = cells.contour(0)
    assert contour.min(0).tolist() == [8.5, 4.5]
    assert contour.max(0).tolist() == [19.5, 9.5]


def test_small_and_thin_nuclei_are_left_out() -> None:
    instances = np.zeros((32, 32), np.int32)
    instances[2, 2:10] = 1  # one row: no area within its contour, yet 8 pixels
    instances[10:20, 10:20] = 2
    assert len(measure(instances, maps_of(instances), 0.25, 30)) == 1


def test_tokens_weigh_by_pixels() -> None:
    instances = np.zeros((32, 32), np.int32)
    instances[0:4, 12:20] = 3  # 16 pixels in patch 0, 16 in patch 1
    instances[20:24, 0:4] = 5  # in patch 2 only
    tokens = np.array([[[0.0, 10.0], [3.0, 99.0]]], np.float32)
    mean = mean_tokens(instances, tokens, np.array([3, 5]), 16)
    assert mean.tolist() == [[5.0], [3.0]]


def test_instances_do_not_depend_on_how_they_are_numbered() -> None:
    truth = ellipses((96, 96), [(30, 30, 12, 10), (60, 60, 10, 14)])
    shuffled = np.array([0, 9, 4], np.int32)[truth]
    first = measure(truth, maps_of(truth), 0.25, 10)
    second = measure(shuffled, maps_of(shuffled), 0.25, 10)
    assert sorted(first.xy.tolist()) == sorted(second.xy.tolist())
