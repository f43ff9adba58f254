import hovernet
import numpy as np
import pytest

from regdata.cells.table import CellTable
from regdata.cellvit.maps.maps import Maps
from regdata.cellvit.maps.postprocess import measure


def one_nucleus(kinds: tuple[float, ...]) -> Maps:
    instances = np.zeros((32, 32), np.int32)
    instances[4:10, 8:20] = 7  # rows 4-9, columns 8-19
    planes = np.broadcast_to(np.array(kinds, np.float32)[:, None, None], (len(kinds), 32, 32))
    return hovernet.maps_of(instances, np.ascontiguousarray(planes))


def test_measures_by_hand() -> None:
    maps = one_nucleus((0.5, 0.1, 0.4))
    instances = np.where(maps.nucleus > 0.5, 7, 0).astype(np.int32)
    cells = measure(instances, maps, 0.5, 10)
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
    assert len(measure(instances, hovernet.maps_of(instances), 0.25, 30)) == 1
    assert len(measure(instances, hovernet.maps_of(instances), 0.25, 0)) == 1


def test_instances_do_not_depend_on_how_they_are_numbered() -> None:
    truth = hovernet.ellipses((96, 96), [(30, 30, 12, 10), (60, 60, 10, 14)])
    shuffled = np.array([0, 9, 4], np.int32)[truth]
    first = measure(truth, hovernet.maps_of(truth), 0.25, 10)
    second = measure(shuffled, hovernet.maps_of(shuffled), 0.25, 10)
    assert sorted(first.xy.tolist()) == sorted(second.xy.tolist())
