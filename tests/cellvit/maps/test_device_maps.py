from dataclasses import fields, replace

import hovernet
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from regdata.cells.table import CellTable
from regdata.cellvit.maps.device_maps import DeviceMaps
from regdata.cellvit.maps.maps import Maps, PostprocessSettings
from regdata.cellvit.maps.measuring import measure_nuclei
from regdata.cellvit.maps.postprocess import find_cells
from regdata.cellvit.maps.token_shares import TokenGrid
from regdata.cellvit.maps.watershed import flood

SETTINGS = [
    PostprocessSettings.published(0.25),
    PostprocessSettings.published(0.5),
    PostprocessSettings(),
    PostprocessSettings(normalise="fixed", tokens="box"),
]


def tensors(maps: Maps, device: str) -> list[torch.Tensor]:
    arrays = (maps.nucleus, maps.hv, maps.kinds, maps.tokens)
    return [torch.from_numpy(array).to(device) for array in arrays]


def found_on(
    device: str, maps: Maps, settings: PostprocessSettings
) -> tuple[NDArray[np.int32], CellTable]:
    reader = DeviceMaps(*tensors(maps, device))
    grid = TokenGrid(*maps.tokens.shape[1:], maps.patch)
    return measure_nuclei(flood(reader.edges(settings), settings), reader, grid, 0.25, settings)


def assert_same(mine: CellTable, host: CellTable) -> None:
    for field in fields(CellTable):
        first, second = getattr(mine, field.name), getattr(host, field.name)
        assert first.dtype == second.dtype
        step = 2e-3 if field.name == "tokens" else 1e-6  # a float16 may round the other way
        assert first == pytest.approx(second, abs=step)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_on_the_host(seed: int, settings: PostprocessSettings) -> None:
    maps = hovernet.scene(seed)
    expected, cells = find_cells(maps, 0.25, settings)
    instances, mine = found_on("cpu", maps, settings)
    assert len(cells) > 10
    assert np.array_equal(instances, expected)
    assert_same(mine, cells)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (9, 9)])
def test_tiles_smaller_than_the_kernel(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    maps = Maps(*(rng.random((*n, *shape), np.float32) for n in ((), (2,), (3,), (4,))), patch=1)
    for settings in SETTINGS:
        on_device = DeviceMaps(*tensors(maps, "cpu")).edges(settings)
        assert np.array_equal(on_device.binary, maps.nucleus > 0.5)
        expected, _ = find_cells(maps, 0.25, settings)
        assert np.array_equal(found_on("cpu", maps, settings)[0], expected)


def test_no_nucleus() -> None:
    maps = hovernet.scene(0)
    maps = replace(maps, nucleus=np.zeros_like(maps.nucleus))
    instances, cells = found_on("cpu", maps, PostprocessSettings())
    assert instances.max() == len(cells) == 0
    assert cells.tokens.shape == (0, len(maps.tokens))


def test_tensors_in_the_hosts_memory_are_read_there() -> None:
    maps = hovernet.scene(0)
    expected, cells = find_cells(maps, 0.25)
    instances, mine = find_cells(Maps(*tensors(maps, "cpu"), patch=16), 0.25)
    assert np.array_equal(instances, expected)
    assert np.array_equal(mine.tokens, cells.tokens)
    half = [tensor.bfloat16() for tensor in tensors(maps, "cpu")]
    assert len(find_cells(Maps(*half, patch=16), 0.25)[1]) > 10


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_same_on_cuda(settings: PostprocessSettings) -> None:
    maps = hovernet.scene(4, (512, 640))
    expected, cells = find_cells(maps, 0.25, settings)
    instances, mine = find_cells(Maps(*tensors(maps, "cuda"), patch=16), 0.25, settings)
    assert np.array_equal(instances, expected)
    assert_same(mine, cells)
