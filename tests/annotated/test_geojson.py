import gzip
import json

import cv2
import numpy as np
import pytest

from regdata.annotated.geojson import load_geojson
from regdata.errors import RegdataError


def feature(kind, coordinates, classification="tumour"):
    if isinstance(classification, str):
        classification = {"name": classification, "color": [1, 2, 3]}
    properties = {"objectType": "detection", "classification": classification}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


SQUARE = [[[1e5, 0], [1e5 + 4, 0], [1e5 + 4, 2], [1e5, 2], [1e5, 0]]]
L_SHAPE = [[[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4], [0, 0]]]  # 4 x 1 and 1 x 3


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def write(path, content, compress=False):
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


@pytest.mark.parametrize(
    ("kind", "coordinates", "points"),
    [
        ("Point", [3.5, 4], [[3.5, 4]]),
        ("MultiPoint", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("Polygon", SQUARE, [[1e5 + 2, 1]]),
        ("Polygon", [ring[::-1] for ring in SQUARE], [[1e5 + 2, 1]]),
        ("Polygon", L_SHAPE, [[(4 * 2 + 3 * 0.5) / 7, (4 * 0.5 + 3 * 2.5) / 7]]),
        ("MultiPolygon", [[[[0, 0], [1, 0], [1, 1], [0, 1]]], SQUARE], [[1e5 + 2, 1]]),
        ("Polygon", [[[2, 2], [4, 2], [2, 2]]], [[8 / 3, 2]]),  # no area: the mean point
    ],
)
def test_geometries(tmp_path, image, kind, coordinates, points):
    file = write(tmp_path / "slide.geojson", [feature(kind, coordinates)])
    found = load_geojson(file, image).images[0]
    np.testing.assert_allclose(found.points_xy, points, rtol=0, atol=1e-9)
    assert found.path == image


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_containers(tmp_path, image, compress, bare):
    features = [feature("Point", [1, 2]), feature("Point", [3, 4], "immune")]
    content = features if bare else {"type": "FeatureCollection", "features": features}
    name = "slide.geojson.gz" if compress else "slide.geojson"
    found = load_geojson(write(tmp_path / name, content, compress), tmp_path, mpp=0.5)
    assert found.classes == ("immune", "tumour")
    assert found.images[0].labels.tolist() == [1, 0]
    assert found.mpp == 0.5


def test_classifications(tmp_path, image):
    features = [
        feature("Point", [0, 0], "plain"),
        feature("Point", [0, 0], {"names": ["immune", "CD3"]}),
        feature("Point", [0, 0], "Ignore*"),
        feature("Polygon", SQUARE, {}),
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}},
    ]
    found = load_geojson(write(tmp_path / "slide.geojson", features), image)
    assert found.classes == ("immune: CD3", "plain")
    assert found.images[0].labels.tolist() == [1, 0, -1]


def test_image_of_a_folder(tmp_path, image):
    file = write(tmp_path / "slide.geojson", [feature("Point", [1, 2])])
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((8, 8, 3), np.uint8))
    assert load_geojson(file, tmp_path).images[0].path == image
    with pytest.raises(RegdataError, match=r"expected one image named cells\.\*"):
        load_geojson(file.rename(tmp_path / "cells.geojson"), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{not json", "cannot be read"),
        (b"\x1f\x8bbroken", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'{"a": 1}', "FeatureCollection"),
        (b"[1, 2]", "FeatureCollection"),
        (b'"text"', "FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": []}', "set a class in QuPath"),
        (json.dumps([feature("LineString", [[0, 0], [1, 1]])]).encode(), "found LineString"),
        (json.dumps([feature("Point", ["a", "b"])]).encode(), "coordinates of a Point"),
        (json.dumps([feature("Polygon", [])]).encode(), "coordinates of a Polygon"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, image, content, message):
    file = tmp_path / "slide.geojson"
    file.write_bytes(content)
    with pytest.raises(RegdataError, match=message) as error:
        load_geojson(file, image)
    assert "\n" not in error.value.message


def test_missing_file(tmp_path, image):
    with pytest.raises(RegdataError, match="does not exist"):
        load_geojson(tmp_path / "none.geojson", image)
