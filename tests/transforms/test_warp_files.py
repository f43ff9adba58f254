import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.slides.open import open_slide
from regdata.slides.slide import Box, Slide
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform
from regdata.transforms.warp import warped
from regdata.transforms.warp_files import PixelMap, warp_geojson, warp_points, write_warped

SPREAD = np.diag([2.0, 2.0, 1.0])


def bent(seed: int = 0) -> Transform:
    """A turn, a scale, a shift and a smooth field over 300 µm."""
    values = np.random.default_rng(seed).normal(size=(2, 40, 40))
    values = ndimage.gaussian_filter(values, (0, 2, 2)) * 15
    field = Displacement.through(values, np.array([-10.0, -10.0]), 8.0)
    assert field.min_jacobian() > 0.4
    matrix = np.array([[0.98, -0.17, 20.0], [0.17, 0.98, -9.0], [0, 0, 1]])
    return Transform.displaced(field).then(Transform.affine(matrix))


def slide(image: np.ndarray, mpp: float, channels: tuple[str, ...], asked=None) -> Slide:
    def pixels(level: int, box: Box, wanted: tuple[int, ...]) -> np.ndarray:
        if asked is not None:
            asked.append((box, wanted))
        return image[list(wanted), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (image.shape[2], image.shape[1])
    return Slide(Path("a.tif"), (size,), mpp, channels, image.dtype, pixels)


def he_of(width: int, height: int, mpp: float) -> Slide:
    return slide(np.zeros((3, height, width), np.uint8), mpp, ("red", "green", "blue"))


def spots(channels: int, width: int, height: int, dtype: str = "uint16") -> np.ndarray:
    image = np.random.default_rng(1).normal(size=(channels, height, width))
    image = ndimage.gaussian_filter(image, (0, 2, 2))
    top = 250 if dtype == "uint8" else 60_000
    return (top * (image - image.min()) / np.ptp(image)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_is_written_is_what_is_seen(tmp_path: Path, dtype: str) -> None:
    if_ = slide(spots(3, 500, 700, dtype), 0.325, ("DAPI", "CD3", "CD20"))
    he = he_of(801, 1103, 0.25)
    size = write_warped(tmp_path / "x.ome.tif", warped(if_, he, bent()), channels=(2, 0))
    assert size == (801, 1103)
    written = open_slide(tmp_path / "x.ome.tif")
    assert written.channels == ("CD20", "DAPI")
    assert written.mpp == pytest.approx(0.25)
    assert written.dtype == dtype
    assert written.sizes == ((801, 1103), (401, 552), (201, 276))
    shown = warped(if_, he, bent()).read((0, 0), size, channels=(2, 0))
    assert shown.std() > 0
    assert np.array_equal(written.read((0, 0), size), shown)
    coarse = written.pixels(1, Box(0, 0, 400, 551), (0, 1))
    means = shown[:, :1102, :800].reshape(2, 551, 2, 400, 2).astype(float).mean((2, 4))
    assert np.abs(coarse - means).max() <= (0.5 if dtype != "float32" else 1e-2)


@pytest.mark.parametrize("mpp", [0.2, 0.5, 0.6])
def test_any_pixel_size_shows_the_same_place(tmp_path: Path, mpp: float) -> None:
    """Brightness is the place on the IF slide, so that every pixel can be checked."""
    side = (np.arange(400) + 0.5) * 0.325
    place = np.stack(np.meshgrid(side, side)).astype(np.float32)
    if_ = slide(place, 0.325, ("x", "y"))
    write_warped(tmp_path / "x.ome.tif", warped(if_, he_of(301, 200, 0.25), bent(), mpp))
    written = open_slide(tmp_path / "x.ome.tif")
    assert written.mpp == pytest.approx(mpp)
    assert written.size == (np.ceil(301 * 0.25 / mpp), np.ceil(200 * 0.25 / mpp))
    shown = written.read((0, 0), written.size).transpose(1, 2, 0)
    x, y = np.meshgrid(*((np.arange(n) + 0.5) * mpp for n in written.size))
    true = bent().points(np.stack([x, y], 2))
    inside = ((true > 3) & (true < 127)).all(2)
    assert inside.mean() > 0.3
    # averaging a bent place moves it a little where pixels grow
    assert np.abs(shown - true)[inside].max() < (0.01 if mpp < 0.325 else 0.02)


def test_a_colour_slide_stays_one(tmp_path: Path) -> None:
    rgb = slide(spots(3, 600, 620, "uint8"), 0.25, ("red", "green", "blue"))
    write_warped(tmp_path / "x.ome.tif", warped(rgb, he_of(610, 600, 0.25), bent()))
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    written = open_slide(tmp_path / "x.ome.tif")
    shown = warped(rgb, he_of(610, 600, 0.25), bent()).read((0, 0), (610, 600))
    assert np.array_equal(written.read((0, 0), (610, 600)), shown)
    assert (shown == 255).all(0).any()  # glass around it


def test_it_is_read_and_written_in_a_stream(tmp_path: Path) -> None:
    asked: list[tuple[Box, tuple[int, ...]]] = []
    if_ = slide(np.ones((2, 2000, 2000), np.uint8), 0.25, ("DAPI", "CD3"), asked)
    shares: list[float] = []
    seen = warped(if_, he_of(2000, 2000, 0.25), bent())
    write_warped(tmp_path / "x.ome.tif", seen, progress=shares.append)
    assert max(box.w * box.h for box, _ in asked) < 1300**2
    assert {channels for _, channels in asked} == {(0,), (1,)}
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 8


@settings(max_examples=25, deadline=None)
@given(
    xy=st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=1, max_size=20),
    seed=st.integers(0, 100),
)
def test_points_come_back(tmp_path_factory: pytest.TempPathFactory, xy, seed: int) -> None:
    folder = tmp_path_factory.mktemp("points")
    there = PixelMap(bent(seed), 0.25, 0.65)
    back = PixelMap(bent(seed).inverse(), 0.65, 0.25)
    (folder / "a.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in xy))
    assert warp_points(folder / "a.csv", folder / "b.csv", there) == len(xy)
    assert warp_points(folder / "b.csv", folder / "c.csv", back) == len(xy)
    mapped = np.loadtxt(folder / "b.csv", delimiter=",", skiprows=1, ndmin=2)
    true = bent(seed).points(np.array(xy) * 0.25) / 0.65
    assert np.abs(mapped - true).max() <= 0.51e-4
    returned = np.loadtxt(folder / "c.csv", delimiter=",", skiprows=1, ndmin=2)
    assert np.abs(returned - np.array(xy)).max() * 0.25 < 1e-3


def test_other_columns_and_rows_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        '\ufeffname, Y ,note,X\r\n"a, ""b""",2,,1\r\n\r\nµ,4.5,"line\nbreak",3\r\n'.encode()
    )
    double = PixelMap(Transform.affine(SPREAD), 0.5, 0.5)
    assert warp_points(tmp_path / "a.csv", tmp_path / "b.csv", double) == 2
    with (tmp_path / "b.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", " Y ", "note", "X"],
        ['a, "b"', "4.0000", "", "2.0000"],
        ["µ", "9.0000", "line\nbreak", "6.0000"],
    ]


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_other_separators_stay(tmp_path: Path, mark: str) -> None:
    (tmp_path / "a.txt").write_text(mark.join("xyz") + "\n" + mark.join("123") + "\n")
    warp_points(tmp_path / "a.txt", tmp_path / "b.txt", lambda xy: xy + 1)
    assert (tmp_path / "b.txt").read_text() == f"x{mark}y{mark}z\n2.0000{mark}3.0000{mark}3\n"


def test_more_points_than_are_mapped_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regdata.transforms.warp_files._AT_ONCE", 7)
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{k},{-k}\n" for k in range(30)))
    sizes: list[int] = []

    def plus_one(xy: np.ndarray) -> np.ndarray:
        sizes.append(len(xy))
        return xy + 1

    assert warp_points(tmp_path / "a.csv", tmp_path / "b.csv", plus_one) == 30
    assert sizes == [7, 7, 7, 7, 2]
    found = np.loadtxt(tmp_path / "b.csv", delimiter=",", skiprows=1)
    assert np.array_equal(found, np.stack([np.arange(30) + 1, 1 - np.arange(30)], 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n", "one column x and one column y"),
        (b"a,b\n1,2\n", "got a, b"),
        (b"x,y,X\n1,2,3\n", "got x, y, X"),
        (b"x,y\n1,2\n3,four\n", "line 3"),
        (b"x,y\n1\n", "line 2"),
        (b"x,y\n1,nan\n", "line 2"),
        (b"\x89HDF\r\n\x1a\n\xff\xfe", "no text"),
        (b"x,y\n\xff\xfe,1\n", "no text"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(RegdataError, match=said) as error:
        warp_points(tmp_path / "a.csv", tmp_path / "b.csv", lambda xy: xy)
    assert "a.csv" in error.value.message
    assert "\n" not in error.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def shapes() -> list[dict[str, object]]:
    ring = [[0, 0], [8.5, 0], [8, 8], [0, 0]]
    plane = {"c": -1, "z": 2, "t": 0}
    return [
        {
            "type": "Feature",
            "id": "7f2b",
            "geometry": {"type": "Polygon", "coordinates": [ring, ring], "plane": plane},
            "nucleusGeometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "objectType": "cell",
                "classification": {"name": "Tumör", "color": [1, 2, 3]},
                "measurements": {"Area µm^2": 41.25, "none": float("nan"), "coordinates": [5, 5]},
            },
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2, 3]}},
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": ring}},
        {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": ring}},
        {"type": "Feature", "geometry": {"type": "MultiLineString", "coordinates": [ring, ring]}},
        {
            "type": "Feature",
            "bbox": [0, 0, 9, 9],
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring, ring], [ring]]},
        },
        {
            "type": "Feature",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [{"type": "Point", "coordinates": [4, 5]}],
            },
        },
        {"type": "Feature", "geometry": None, "properties": {"name": "nowhere"}},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}},
    ]


def moved(value: object, inside: bool = False) -> object:
    """Another way to the same: x + 100, y * 2 in everything called coordinates."""
    if isinstance(value, list):
        if inside and value and isinstance(value[0], int | float):
            return [value[0] + 100.0, value[1] * 2.0, *value[2:]]
        return [moved(item, inside) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key == "properties" else moved(item, inside or key == "coordinates")
            for key, item in value.items()
            if key != "bbox"
        }
    return value


def shift(xy: np.ndarray) -> np.ndarray:
    return np.stack([xy[:, 0] + 100, xy[:, 1] * 2], 1)


FORMS = {
    "collection": {"type": "FeatureCollection", "name": "µ", "features": shapes(), "z": [1]},
    "collection in another order": {"bbox": [0] * 4, "features": shapes(), "bbox2": 1, "type": 1},
    "features only": {"features": shapes()},
    "features and a box": {"features": shapes(), "bbox": [1]},
    "list": shapes(),
    "geometries": [shape["geometry"] for shape in shapes()[:6]],
    "feature": shapes()[0],
    "geometry": shapes()[0]["geometry"],
    "nothing": {"type": "FeatureCollection", "features": []},
    "empty list": [],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("at_once", [500, 2])
def test_all_coordinates_move_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, indent: int | None, at_once: int
) -> None:
    monkeypatch.setattr("regdata.transforms.geojson_stream._AT_ONCE", at_once)
    (tmp_path / "a.geojson").write_text(json.dumps(FORMS[form], indent=indent))
    warp_geojson(tmp_path / "a.geojson", tmp_path / "b.geojson", shift)
    found = json.loads((tmp_path / "b.geojson").read_text(encoding="utf-8"))
    assert repr(found) == repr(moved(FORMS[form]))  # NaN is not equal to itself


@pytest.mark.parametrize("from_gz", [False, True])
@pytest.mark.parametrize("to_gz", [False, True])
def test_packed_or_plain(tmp_path: Path, from_gz: bool, to_gz: bool) -> None:
    source, target = tmp_path / "a.json", tmp_path / ("b.geojson.gz" if to_gz else "b.geojson")
    data = json.dumps(FORMS["collection"]).encode()
    source.write_bytes(gzip.compress(data) if from_gz else data)
    assert warp_geojson(source, target, shift) == 12 + 1 + 4 + 4 + 8 + 12 + 1
    stored = target.read_bytes()
    assert stored.startswith(b"\x1f\x8b") is to_gz
    found = json.loads(gzip.decompress(stored) if to_gz else stored)
    assert repr(found) == repr(moved(FORMS["collection"]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"{",
        b"[1, 2]",
        b"{}",
        b'{"type": "Topology"}',
        b'{"features": [{"type": "Feature", "geometry": {"coordinates": 5}}]}',
        b'{"features": [{"type": "Feature", "geometry": {"coordinates": [1]}}]}',
        b'{"features": [{"type": "Feature", "geometry": {"coordinates": ["1", "2"]}}]}',
        b'{"features": [{"type": "Feature", "geometry": {"coordinates": [[1, 2], 5]}}]}',
        b'{"features": [{"type": "Feature", "geometry": 5}]}',
        b'{"features": [{"type": "Feature", "geometry": {"geometries": 5}}]}',
        b'{"features": [{"geometry": null} {"geometry": null}]}',
        b'{"features": [{"geometry": null}]',
        b'{"features": [{"geometry": null}]} more',
        b'{"features" []}',
        b"[" * 100_000,
        b"\x1f\x8bnot gzip",
        gzip.compress(b'{"features": []}', mtime=0)[:-9],
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff",
        b"\x89HDF\r\n\x1a\n\xff",
        b"x,y\n1,2\n",
    ],
)
def test_what_is_no_geojson(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.geojson").write_bytes(content)
    with pytest.raises(RegdataError, match=r"expected (a )?GeoJSON") as error:
        warp_geojson(tmp_path / "a.geojson", tmp_path / "b.geojson", shift)
    assert "a.geojson" in error.value.message
    assert "\n" not in error.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["a.geojson"]
