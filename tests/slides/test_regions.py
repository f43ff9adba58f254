import gzip
import json

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.slides.regions import parse_box, polygon_mask, read_polygons
from regdata.slides.slide import Box

OUTLINE = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
HOLE = [[2, 2], [6, 2], [6, 6], [2, 6], [2, 2]]
OTHER = [[20, 0], [30.5, 0], [25, 9.25]]


def geometry(kind, coordinates):
    return {"type": kind, "coordinates": coordinates}


def feature(shape):
    properties = {"objectType": "annotation", "classification": {"name": "Tumor"}}
    return {"type": "Feature", "id": "1f", "geometry": shape, "properties": properties}


POLYGON = geometry("Polygon", [OUTLINE, HOLE])
MULTI = geometry("MultiPolygon", [[OUTLINE, HOLE], [OTHER]])


def write(path, content):
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def plain(polygons):
    return [[ring.tolist() for ring in polygon] for polygon in polygons]


@pytest.mark.parametrize("name", ["roi.geojson", "roi.geojson.gz"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda shape: {"type": "FeatureCollection", "features": [feature(shape)]},
        feature,
        lambda shape: shape,
        lambda shape: [feature(shape)],
        lambda shape: [shape],
        lambda shape: {"type": "GeometryCollection", "geometries": [shape]},
        lambda shape: [feature(geometry("Point", [1, 1])), feature(None), feature(shape)],
    ],
)
@pytest.mark.parametrize(
    ("shape", "expected"),
    [(POLYGON, [[OUTLINE, HOLE]]), (MULTI, [[OUTLINE, HOLE], [OTHER]])],
)
def test_containers_and_shapes(tmp_path, name, wrap, shape, expected):
    assert plain(read_polygons(write(tmp_path / name, wrap(shape)))) == expected


def test_heights_and_empty_parts_are_left_out(tmp_path):
    shapes = [
        geometry("Polygon", [[[*point, 7] for point in OTHER]]),
        geometry("Polygon", []),
        geometry("MultiPolygon", [[], [OTHER]]),
    ]
    assert plain(read_polygons(write(tmp_path / "x.geojson", shapes))) == [[OTHER], [OTHER]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "cannot be read"),
        (b"\x1f\x8bcut", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"3", "FeatureCollection or list of features"),
        (b'{"type": "FeatureCollection", "features": 3}', "FeatureCollection"),
        (b'[{"geometry": [1]}]', "FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": []}', "got nothing; draw an area"),
        (geometry("Point", [1, 2]), "got Point; draw an area"),
        (
            [geometry("Point", [1, 2]), geometry("LineString", [[1, 2], [3, 4]])],
            "got LineString, Point",
        ),
        (geometry("Polygon", [[[0, 0], [1, 1], [0, 0]]]), "fewer than three different points"),
        (geometry("Polygon", OUTLINE), "something else"),
        (geometry("Polygon", [[["a", "b"]] * 3]), "something else"),
        (geometry("Polygon", [[[1], [2], [3]]]), "something else"),
        (geometry("Polygon", None), "something else"),
        (geometry("MultiPolygon", [3]), "something else"),
        (b'{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 1], [2, 5]]]}', "something else"),
        ({"type": "GeometryCollection", "geometries": [3]}, "something else"),
    ],
)
def test_what_is_no_region(tmp_path, content, message):
    path = tmp_path / "x.geojson"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(RegdataError, match=message) as error:
        read_polygons(path)
    assert "\n" not in error.value.message
    assert str(path) in error.value.message


def test_missing_file(tmp_path):
    with pytest.raises(RegdataError, match="does not exist"):
        read_polygons(tmp_path / "none.geojson")


def square(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def test_mask_by_hand():
    # outlines a quarter pixel inside the pixels they shall fill: 8 wide with a hole of 2
    polygon = [square(0.25, 0.25, 7.75, 3.75), square(2.75, 0.75, 5.25, 3.25)]
    mask = polygon_mask([polygon], (9, 5), 1)
    assert mask.dtype == np.bool_
    assert mask.astype(int).tolist() == [
        [1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("size", "downsample", "shape"),
    [((100, 60), 1, (60, 100)), ((101, 60), 4, (15, 26)), ((100, 61), 2.5, (25, 40))],
)
def test_mask_covers_the_slide(size, downsample, shape):
    mask = polygon_mask([[square(-5, -5, 500, 500)]], size, downsample)
    assert mask.shape == shape
    assert mask.all()


def test_a_hole_of_one_is_covered_by_another():
    big, hole = square(1.25, 1.25, 30.75, 30.75), square(8, 8, 24, 24)
    alone = polygon_mask([[big, hole]], (32, 32), 1)
    assert not alone[16, 16]
    for order in ([[big, hole], [square(15, 15, 18, 18)]], [[square(15, 15, 18, 18)], [big, hole]]):
        assert polygon_mask(order, (32, 32), 1)[16, 16]


X, Y, FAR = st.floats(3, 66), st.floats(3, 46), st.floats(-20, 90)


@settings(deadline=None, max_examples=60)
@example((1.2, [(0.0, 0.0), (0.0, 0.0), (-19.0, 42.0)]), 1.0)
@given(
    st.one_of(
        st.tuples(st.just(1.2), st.lists(st.tuples(X, Y), min_size=3, max_size=3)),
        st.tuples(st.just(1.2), st.lists(st.tuples(FAR, FAR), min_size=3, max_size=3)),
    ),
    st.sampled_from([1.0, 1.7, 4.0]),
)
def test_mask_agrees_with_the_distance_to_the_outline(case, downsample):
    tolerance, points = case
    ring = np.array([*points, (40, 30), (40, 31)])  # so that part of it is on the slide
    hull = cv2.convexHull(ring.astype(np.float32))[:, 0].astype(np.float64)
    mask = polygon_mask([[hull]], (70, 50), downsample)
    outline = (hull / downsample).astype(np.float32)
    for y, x in np.ndindex(mask.shape):
        depth = cv2.pointPolygonTest(outline, (x + 0.5, y + 0.5), True)
        assert mask[y, x] or depth <= tolerance / 2
        assert not mask[y, x] or depth >= -tolerance


def test_a_point_far_away_does_not_wrap():
    mask = polygon_mask([[np.array([[10.0, 10.0], [3e9, 10.0], [10.0, 3e9]])]], (64, 64), 1)
    assert mask[20:, 20:].all()
    assert not mask[:9].any()


def test_polygons_off_the_slide():
    with pytest.raises(RegdataError, match=r"slide of 64 x 32 pixels, but all lie outside"):
        polygon_mask([[square(100, 0, 120, 20)]], (64, 32), 1)


@pytest.mark.parametrize(
    ("text", "box"),
    [("1,2,3,4", Box(1, 2, 3, 4)), (" 0, 0 ,10 , 20 ", Box(0, 0, 10, 20))],
)
def test_boxes(text, box):
    assert parse_box(text) == box


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "1,2,0,4", "1,2,3,-4", "-1,2,3,4"]
)
def test_what_is_no_box(text):
    with pytest.raises(RegdataError, match=r'region "x,y,w,h"') as error:
        parse_box(text)
    assert f'got "{text}"' in error.value.message
