"""How good a transform is, tile by tile: the table and its files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.files import replacing

STATUSES = ("accept", "doubtful", "reject", "empty")
"""The statuses of a tile; an empty one shows no nuclei."""
_COLOURS = {
    "accept": (44, 160, 44),
    "doubtful": (255, 193, 7),
    "reject": (214, 39, 40),
    "empty": (160, 160, 160),
}
"""RGB."""


@dataclass(frozen=True, kw_only=True)
class TileQuality:
    """Quality of all N tiles of an H&E slide, row by row from its top-left corner.

    Attributes
    ----------
    centre_um
        (N, 2) x, y on the H&E slide, µm; those of the last column and row may lie outside.
    tile_um
        Side of a tile.
    tissue
        (N,) share of the tile.
    correlation
        (N,) of hematoxylin and warped DAPI, -1 to 1.
    null_z
        (N,) standard deviations by which it lies above that at shifts of 12 to 20 µm.
    shift_um
        (N, 2) x, y: H&E at x matches the warped IF at x + shift. 0 where nothing shows.
    sd_um
        (N,) its predicted standard deviation along an axis; infinite where nothing shows.
    confidence
        (N,) chance that this shift is right, 0 to 1.
    jacobian_min, jacobian_max
        (N,) change of area over that of the whole slide; below 0 the transform folds.
    error_um
        (N,) expected length of the local error; NaN in empty tiles.
    status
        (N,) one of `STATUSES`.
    """

    centre_um: Floats
    tile_um: float
    tissue: Floats
    correlation: Floats
    null_z: Floats
    shift_um: Floats
    sd_um: Floats
    confidence: Floats
    jacobian_min: Floats
    jacobian_max: Floats
    error_um: Floats
    status: NDArray[np.str_]

    def error_at(self, xy_um: Floats) -> Floats:
        """Expected error (N,) µm of the tiles in which points (N, 2) µm on the H&E lie.

        NaN in empty tiles, where nothing can be compared.
        """
        rows, columns = self.shape
        place = np.floor(xy_um / self.tile_um).astype(int)
        column, row = np.clip(place[:, 0], 0, columns - 1), np.clip(place[:, 1], 0, rows - 1)
        return np.asarray(self.error_um[row * columns + column])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the grid of tiles."""
        columns, rows = np.rint(self.centre_um[-1] / self.tile_um + 0.5).astype(int).tolist()
        return rows, columns

    def to_table(self) -> pd.DataFrame:
        """One row per tile, pairs of values as two columns."""
        return pd.DataFrame(
            {
                "x_um": self.centre_um[:, 0],
                "y_um": self.centre_um[:, 1],
                "tile_um": self.tile_um,
                "tissue": self.tissue,
                "correlation": self.correlation,
                "null_z": self.null_z,
                "shift_x_um": self.shift_um[:, 0],
                "shift_y_um": self.shift_um[:, 1],
                "sd_um": self.sd_um,
                "confidence": self.confidence,
                "jacobian_min": self.jacobian_min,
                "jacobian_max": self.jacobian_max,
                "error_um": self.error_um,
                "status": self.status,
            }
        )


def write_table(quality: TileQuality, path: Path) -> None:
    """Write all tiles as CSV."""
    # coordinates of a slide of some cm to 0.01 µm
    quality.to_table().to_csv(path, index=False, float_format="%.8g")


def read_table(path: Path) -> TileQuality:
    """The tiles in a CSV that `write_table` wrote, to eight digits."""
    table = pd.read_csv(path, keep_default_na=True)
    plain = ("tissue", "correlation", "null_z", "sd_um", "confidence", "jacobian_min")
    return TileQuality(
        centre_um=table[["x_um", "y_um"]].to_numpy(float),
        tile_um=float(table["tile_um"].iloc[0]),
        shift_um=table[["shift_x_um", "shift_y_um"]].to_numpy(float),
        jacobian_max=table["jacobian_max"].to_numpy(float),
        error_um=table["error_um"].to_numpy(float),
        status=table["status"].to_numpy("U8"),
        **{name: table[name].to_numpy(float) for name in plain},
    )


def write_quality(quality: TileQuality, folder: Path, he_mpp: float) -> list[Path]:
    """Write `quality.csv`, all tiles, and `quality.geojson`, a heat map for QuPath.

    Parameters
    ----------
    he_mpp
        µm per level-0 pixel of the H&E slide, the unit of the GeoJSON. Empty tiles are left out
        of it.

    Returns
    -------
    list
        The two paths.
    """
    table, heat = folder / "quality.csv", folder / "quality.geojson"
    with replacing(table) as part:
        write_table(quality, part)
    with replacing(heat) as part, part.open("w") as file:
        file.write('{"type":"FeatureCollection","features":[\n')
        for number, feature in enumerate(_features(quality, he_mpp)):
            file.write(f",\n{feature}" if number else feature)
        file.write("\n]}\n")
    return [table, heat]


def _features(quality: TileQuality, he_mpp: float) -> Iterator[str]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * quality.tile_um / 2
    for index in np.flatnonzero(quality.status != "empty"):
        status = str(quality.status[index])
        ring = np.round((quality.centre_um[index] + corners) / he_mpp, 2).tolist()
        measurements = {
            "error_um": quality.error_um[index],
            "shift_x_um": quality.shift_um[index, 0],
            "shift_y_um": quality.shift_um[index, 1],
            "correlation": quality.correlation[index],
            "confidence": quality.confidence[index],
        }
        properties = {
            "objectType": "annotation",
            "classification": {"name": status, "color": list(_COLOURS[status])},
            "measurements": {name: round(float(value), 4) for name, value in measurements.items()},
        }
        geometry = {"type": "Polygon", "coordinates": [ring]}
        yield json.dumps({"type": "Feature", "geometry": geometry, "properties": properties})
