import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from regdata.cells.geojson import colour, write_geojson

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.float32)


def read(path: Path) -> dict[str, object]:
    with gzip.open(path, "rt") as file:
        return json.load(file)


def test_a_feature_per_cell(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson.gz"
    contours = [SQUARE, SQUARE + 10]
    write_geojson(path, contours, np.array([1, 0]), ["negative", 'odd "name"'])
    stored = read(path)
    assert stored["type"] == "FeatureCollection"
    first, second = stored["features"]  # type: ignore[misc]
    ring = first["geometry"]["coordinates"][0]
    assert first["geometry"]["type"] == "Polygon"
    assert ring[0] == ring[-1] == [0, 0]
    assert len(ring) == 5
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"]["name"] == 'odd "name"'
    assert second["properties"]["classification"] == {"name": "negative", "color": [120, 120, 120]}


def test_no_cells_is_still_a_collection(tmp_path: Path) -> None:
    write_geojson(tmp_path / "x.geojson.gz", [], np.zeros(0, int), ["negative"])
    assert read(tmp_path / "x.geojson.gz")["features"] == []


def test_as_many_labels_as_contours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_geojson(tmp_path / "x.geojson.gz", [SQUARE, SQUARE], np.array([0]), ["negative"])
    assert list(tmp_path.iterdir()) == []


def test_grey_is_for_the_negative_class_only() -> None:
    assert all(colour(i) != colour(0) for i in range(1, 30))
