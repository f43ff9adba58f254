from .columns import Rows
from .dataset import (
    CellDataset,
    count_cells,
    iterate_cells,
    label_index,
    read_about,
    read_dataset,
    read_measured,
    read_outlines,
    versions,
    write_dataset,
)
from .dataset_geojson import write_cells_geojson
from .geojson import colour, read_features
from .table import BLURRED, EDGE, FLAGS, FOLD, OUTSIDE_IF, PEN, CellTable, concatenate

__all__ = [
    "BLURRED",
    "EDGE",
    "FLAGS",
    "FOLD",
    "OUTSIDE_IF",
    "PEN",
    "CellDataset",
    "CellTable",
    "Rows",
    "colour",
    "concatenate",
    "count_cells",
    "iterate_cells",
    "label_index",
    "read_about",
    "read_dataset",
    "read_features",
    "read_measured",
    "read_outlines",
    "versions",
    "write_cells_geojson",
    "write_dataset",
]
