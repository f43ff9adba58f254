"""Fixtures shared by the tests: a simulated section, and its nuclei as a perfect model has them."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from simulated import SIDE, SimulatedPair

from regdata.cells.table import CellTable
from regdata.cellvit.maps.maps import Maps
from regdata.cellvit.maps.postprocess import measure
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.slides.write_tiff import write_ome_tiff
from regdata.studies.demo import is_lymphocyte, true_nuclei


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPair:
    folder = tmp_path_factory.mktemp("pair")
    tissue = render_tissue((SIDE, SIDE), seed=5)
    settings = RestainSettings(rotation_deg=100, mirror=True)
    restained = restain(tissue.rgb, tissue.instances, is_lymphocyte(tissue), settings, seed=5)
    he, if_ = folder / "he.ome.tif", folder / "if.ome.tif"
    write_ome_tiff(he, tissue.rgb, 0.25)
    write_ome_tiff(if_, restained.image, restained.mpp, restained.channels)
    return SimulatedPair(he, if_, tissue, true_nuclei(tissue, restained))


@pytest.fixture(scope="session")
def perfect_segment(pair: SimulatedPair) -> Callable[..., Iterator[CellTable]]:
    """A stand-in for `segment` that yields the true nuclei of the simulated pair."""
    instances = pair.tissue.instances
    nucleus = (instances > 0).astype(np.float32)
    tokens = np.zeros((256, SIDE // 16, SIDE // 16), np.float32)
    maps = Maps(nucleus, np.zeros((2, SIDE, SIDE)), np.stack([1 - nucleus, nucleus]), tokens, 16)
    cells = measure(instances, maps, 0.25, 1)

    def segment(*_: object, **__: object) -> Iterator[CellTable]:
        yield cells

    return segment
