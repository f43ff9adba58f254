"""HoVer-Net's post-processing: from the network's maps to nuclei (Graham et al., 2019)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from regdata.cells import CellTable
from regdata.cellvit.maps.host_maps import HostMaps
from regdata.cellvit.maps.maps import Labels, MapReader, Maps, PostprocessSettings
from regdata.cellvit.maps.measuring import measure_nuclei
from regdata.cellvit.maps.token_shares import TokenGrid
from regdata.cellvit.maps.watershed import flood

if TYPE_CHECKING:
    from regdata.cellvit.maps.maps import Image

__all__ = ["Maps", "PostprocessSettings", "find_cells"]


def find_cells(
    maps: Maps, mpp: float, settings: PostprocessSettings | None = None
) -> tuple[Labels, CellTable]:
    """The nuclei of one tile.

    The mask of nuclei is split where the gradient of the HV maps says that one nucleus ends and
    the next begins; parts of the mask are 4-connected. Maps on a device stay there: what comes
    to the host is the mask, the borders at its pixels and one row per nucleus.

    Parameters
    ----------
    mpp
        Micrometres per pixel of the tile.

    Returns
    -------
    instances, cells
        (H, W) int32 instance map, 0 = background, nucleus i + 1 being row i of the table;
        positions in pixels of the tile, corner origin.
    """
    settings = settings or PostprocessSettings()
    reader = _reader(maps)
    instances = flood(reader.edges(settings), settings)
    return measure_nuclei(instances, reader, _grid(maps), mpp, settings)


def separate(nucleus: "Image", hv: "Image", settings: PostprocessSettings) -> Labels:
    """(H, W) int32 instances of one tile, not yet measured; see `find_cells`.

    Parameters
    ----------
    nucleus, hv
        (H, W) and (2, H, W), as in `Maps`.
    """
    reader = _reader(Maps(nucleus, hv, kinds=hv, tokens=hv, patch=1))
    return flood(reader.edges(settings), settings)


def measure(instances: Labels, maps: Maps, mpp: float, min_area: int) -> CellTable:
    """The nuclei of an instance map that have at least `min_area` pixels, as a table.

    Parameters
    ----------
    instances
        (H, W) int32, 0 = background.
    mpp
        µm per pixel of the tile.
    """
    settings = PostprocessSettings(min_area=min_area)
    return measure_nuclei(instances, _reader(maps), _grid(maps), mpp, settings)[1]


def _grid(maps: Maps) -> TokenGrid:
    rows, columns = maps.tokens.shape[1:]
    return TokenGrid(rows, columns, maps.patch)


def _reader(maps: Maps) -> MapReader:
    fields: list[Any] = [maps.nucleus, maps.hv, maps.kinds, maps.tokens]
    if all(isinstance(field, np.ndarray) for field in fields):
        return HostMaps(*fields)
    if all(field.device.type == "cpu" for field in fields):
        return HostMaps(*(field.detach().float().numpy() for field in fields))
    from regdata.cellvit.maps.device_maps import DeviceMaps  # torch takes seconds to load

    return DeviceMaps(*fields)
