"""Each format is opened again by its own reader and compared with the file it came from."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from exported import CLASSES, he_facts, joined, write_labelled
from simulated import SIDE, SimulatedPair

from regdata.annotated.pannuke import find_folds
from regdata.annotated.points import load_points
from regdata.cells.dataset import read_dataset, write_dataset
from regdata.cells.record import Record, SlideRecord
from regdata.cells.table import CellTable
from regdata.commands import main
from regdata.exports.run import ExportOptions, export_cells
from regdata.report.pictures import write_png

CROP = 256


@pytest.fixture
def file(
    tmp_path: Path, pair: SimulatedPair, perfect_segment: Callable[..., Iterator[CellTable]]
) -> Path:
    write_labelled(tmp_path / "x.h5", joined(perfect_segment()), he_facts(pair))
    return tmp_path / "x.h5"


@pytest.fixture
def of_two(
    tmp_path: Path, pair: SimulatedPair, perfect_segment: Callable[..., Iterator[CellTable]]
) -> Path:
    """Cells of two images: the section, and again."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    cells = joined(perfect_segment())
    for name in ("a_1", "b_1"):
        write_png(folder / "images" / f"{name}.png", pair.tissue.rgb)
    few = cells.xy[:, 1] < 256
    slide = np.where(few, "a_1", "b_1")
    he = {"path": str(folder), "mpp": 0.25}
    write_labelled(tmp_path / "two.h5", cells, he, slide=slide, patient=slide)
    return tmp_path / "two.h5"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


def known(file: Path) -> tuple[CellTable, np.ndarray]:
    dataset = read_dataset(file)
    labels = dataset.labels
    return dataset.cells.take(labels >= 0), labels[labels >= 0]


def truth(pair: SimulatedPair, keep: np.ndarray) -> np.ndarray:
    """The instance map with the kept nuclei only; nucleus i of the file is i + 1."""
    instances = pair.tissue.instances
    return np.where(np.append(False, keep)[instances], instances, 0)


def corner(name: str) -> tuple[int, int]:
    _, x, y = name.removesuffix(".png").split("_")
    return int(x[1:]), int(y[1:])


@pytest.mark.parametrize("ending", [".geojson", ".geojson.gz"])
def test_geojson(file: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"cells{ending}"
    result = run(file, "--format", "geojson", "-o", out)
    assert result.exit_code == 0, result.output
    data = out.read_bytes()
    features = json.loads(gzip.decompress(data) if ending.endswith(".gz") else data)["features"]
    dataset = read_dataset(file)
    assert len(features) == len(dataset.obs)
    for i in (0, 3, 7, len(features) - 1):
        ring = np.array(features[i]["geometry"]["coordinates"][0])
        assert np.allclose(ring[:-1], dataset.cells.contour(i), atol=0.006)
        assert np.array_equal(ring[0], ring[-1])
        properties = features[i]["properties"]
        assert properties["classification"]["name"] == dataset.obs["label"].iloc[i]
        measured = properties["measurements"]
        assert measured["area_um2"] == pytest.approx(dataset.obs["area_um2"].iloc[i], rel=1e-5)
        assert measured["flags"] == 0
        assert ("overlap_CD3" in measured) == (i % 7 != 0)
        assert "slide" not in measured


def test_geopandas_reads_the_geojson(file: Path, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
    export_cells(ExportOptions(file=file, output=tmp_path / "cells.geojson", format="geojson"))
    # GeoJSON has no pixels: geopandas takes them for degrees
    frame = geopandas.read_file(tmp_path / "cells.geojson").set_crs(None, allow_override=True)
    cells = read_dataset(file).cells
    assert len(frame) == len(cells)
    # the polygon runs half a pixel inside the nucleus all round: the centre stays
    off = np.column_stack([frame.centroid.x, frame.centroid.y]) - cells.xy
    assert np.abs(off.mean(0)).max() < 0.02


def test_pannuke_shows_the_nuclei_where_they_are(
    file: Path, tmp_path: Path, pair: SimulatedPair
) -> None:
    result = run(file, "--format", "pannuke", "-o", tmp_path / "set", "--tissue-type", "Colon")
    assert result.exit_code == 0, result.output
    assert "all crops are in train/" in result.output
    part = tmp_path / "set" / "train"
    images, masks = np.load(part / "images.npy"), np.load(part / "masks.npy")
    names = (part / "names.txt").read_text().split()
    assert images.shape == (len(names), CROP, CROP, 3)
    assert masks.shape == (len(names), CROP, CROP, 6)
    assert json.loads((tmp_path / "set" / "classes.json").read_text()) == list(CLASSES)
    labels = read_dataset(file).labels
    expected = truth(pair, labels >= 0)
    for name, image, mask in zip(names, images, masks, strict=True):
        x, y = corner(name)
        here = np.s_[y : y + CROP, x : x + CROP]
        assert np.array_equal(image, pair.tissue.rgb[here])
        wanted = expected[here]
        assert np.array_equal(mask[..., 5] == 1, wanted == 0)
        for k in range(2):
            of_class = np.where(wanted > 0, labels[wanted - 1] == k, False)
            assert np.array_equal(mask[..., k] > 0, of_class)
        # the same pixels belong together: ids and true numbers tell each other
        pairs = np.unique(np.column_stack([mask[..., :5].max(-1).ravel(), wanted.ravel()]), axis=0)
        assert len(pairs) == len(np.unique(wanted)) == len(np.unique(mask[..., :5].max(-1)))
    (fold,) = find_folds(tmp_path / "set")
    assert fold.cut(0).instances.max() == len(np.unique(expected[0:CROP, 0:CROP])) - 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_crops(file: Path, tmp_path: Path, pair: SimulatedPair) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    result = run(file, "--format", "coco", "--crop", 256, "-o", tmp_path / "set")
    assert result.exit_code == 0, result.output
    data = coco.COCO(str(tmp_path / "set" / "annotations" / "instances_train.json"))
    assert [c["name"] for c in data.loadCats(data.getCatIds())] == list(CLASSES)
    labels = read_dataset(file).labels
    expected = truth(pair, labels >= 0)
    for image in data.loadImgs(data.getImgIds()):
        assert (tmp_path / "set" / "train" / image["file_name"]).is_file()
        x, y = corner(image["file_name"])
        wanted = expected[y : y + CROP, x : x + CROP]
        drawn = np.zeros((2, CROP, CROP), np.int64)
        for one in data.loadAnns(data.getAnnIds(imgIds=[image["id"]])):
            mask = data.annToMask(one)
            drawn[one["category_id"] - 1] += mask
            assert one["area"] == mask.sum()
            rows, columns = np.nonzero(mask)
            assert one["bbox"][:2] == [columns.min(), rows.min()]
            assert one["bbox"][2:] == [np.ptp(columns) + 1, np.ptp(rows) + 1]
        for k in range(2):
            assert np.array_equal(drawn[k] == 1, (wanted > 0) & (labels[wanted - 1] == k))
        assert len(data.getAnnIds(imgIds=[image["id"]])) == len(np.unique(wanted)) - 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_of_the_slide(file: Path, tmp_path: Path, pair: SimulatedPair) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    assert run(file, "--format", "coco", "-o", tmp_path / "x.json").exit_code == 0
    data = coco.COCO(str(tmp_path / "x.json"))
    (image,) = data.loadImgs(data.getImgIds())
    assert (image["width"], image["height"]) == (SIDE, SIDE)
    _, labels = known(file)
    annotations = data.loadAnns(data.getAnnIds())
    assert [one["category_id"] - 1 for one in annotations] == labels.tolist()
    expected = truth(pair, read_dataset(file).labels >= 0)
    numbers = np.unique(expected)[1:]
    for one, number in list(zip(annotations, numbers, strict=True))[::37]:
        assert np.array_equal(data.annToMask(one) == 1, expected == number)


def test_cellvit(file: Path, tmp_path: Path) -> None:
    assert run(file, "--format", "cellvit", "-o", tmp_path / "set").exit_code == 0
    part = tmp_path / "set" / "train"
    points = load_points(part / "images", part / "labels")
    assert tuple(points.classes) == CLASSES
    cells, labels = known(file)
    found = []
    for table in sorted((part / "labels").glob("*.csv")):
        rows = np.loadtxt(table, delimiter=",", dtype=int, ndmin=2)
        assert rows[:, :2].min() >= 0
        assert rows[:, :2].max() < CROP
        found.append(rows + np.array([*corner(table.stem), 0]))
    place = np.column_stack([np.floor(cells.xy).astype(int), labels])
    assert sorted(map(tuple, np.concatenate(found).tolist())) == sorted(map(tuple, place.tolist()))


@pytest.mark.parametrize("mpp", [0.5, 0.4])
def test_crops_of_another_resolution_keep_their_place(
    file: Path, tmp_path: Path, pair: SimulatedPair, mpp: float
) -> None:
    options = ExportOptions(file=file, output=tmp_path / "set", format="pannuke", crop_mpp=mpp)
    export_cells(options)
    part = tmp_path / "set" / "train"
    masks = np.load(part / "masks.npy", mmap_mode="r")
    cells, _ = known(file)
    off = []
    for k, name in enumerate((part / "names.txt").read_text().split()):
        inside = masks[k, ..., 5] == 0
        both = masks[k, ..., :5].max(-1)
        origin = np.round(np.array(corner(name)) / (CROP * mpp / 0.25)) * CROP * mpp / 0.25
        for i in np.unique(both[inside]):
            rows, columns = np.nonzero(both == i)
            if min(rows.min(), columns.min()) > 0 and max(rows.max(), columns.max()) < CROP - 1:
                at = (np.array([columns.mean(), rows.mean()]) + 0.5) * mpp / 0.25 + origin
                off.append(at - cells.xy[np.square(cells.xy - at).sum(1).argmin()])
    assert len(off) > 50
    assert np.abs(np.mean(off, axis=0)).max() < 0.1  # level-0 pixels


def test_unknown_nuclei_are_a_class_when_asked_for(file: Path, tmp_path: Path) -> None:
    dataset = read_dataset(file)
    unknown = int((dataset.obs["label"] == "unknown").sum())
    result = run(file, "--format", "cellvit", "-o", tmp_path / "a", "--keep-unknown")
    assert f"{unknown} unknown" in result.output
    assert "left out" not in result.output
    assert (tmp_path / "a" / "label_map.yaml").read_text().endswith('2: "unknown"\n')
    result = run(file, "--format", "cellvit", "-o", tmp_path / "b")
    assert f"{unknown} cells left out" in result.output


def test_a_slide_is_never_in_both_parts(of_two: Path, tmp_path: Path) -> None:
    for form, crop in (("cellvit", 256), ("pannuke", 256), ("coco", 1024)):
        result = run(of_two, "--format", form, "--crop", crop, "-o", tmp_path / form)
        assert result.exit_code == 0, result.output
        assert "Warning" not in result.output
    root = tmp_path / "cellvit"
    slides = {
        part: {path.name.split("_")[0] for path in (root / part / "images").iterdir()}
        for part in ("train", "test")
    }
    assert slides == {"train": {"b-1"}, "test": {"a-1"}}
    assert len(find_folds_of(tmp_path / "pannuke")) == 2
    cells, _ = known(of_two)
    rows = sum(len(path.read_text().split()) for path in root.rglob("*.csv"))
    assert rows == len(cells)


def find_folds_of(path: Path) -> list[Path]:
    return sorted(path.rglob("masks.npy"))


def test_parquet(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = tmp_path / "x.parquet"
    result = run(file, "--format", "parquet", "-o", out, "--tokens")
    assert result.exit_code == 0, result.output
    frame, dataset = pd.read_parquet(out), read_dataset(file)
    plain = dataset.obs.reset_index(drop=True)
    pd.testing.assert_frame_equal(frame[plain.columns], plain)
    assert np.array_equal(frame[["x", "y"]].to_numpy(), dataset.cells.xy)
    assert np.array_equal(np.stack(frame["token"]), dataset.cells.tokens.astype(np.float32))
    for i in (0, 5, len(frame) - 1):
        assert np.array_equal(frame["contour"][i].reshape(-1, 2), dataset.cells.contour(i))


def test_clam(file: Path, tmp_path: Path) -> None:
    assert run(file, "--format", "clam", "-o", tmp_path / "c.h5").exit_code == 0
    dataset = read_dataset(file)
    with h5py.File(tmp_path / "c.h5") as stored:
        features, coords, labels = (stored[n][:] for n in ("features", "coords", "labels"))
        attributes = dict(stored["coords"].attrs)
        classes = list(stored["labels"].attrs["classes"])
    assert features.dtype == np.float32
    assert np.array_equal(features, dataset.cells.tokens)
    assert coords.dtype == np.int64
    side = attributes["patch_size"]
    assert (side, attributes["patch_level"]) == (64, 0)
    assert coords.min() >= 0
    assert coords.max() <= SIDE - side
    middle = np.all((dataset.cells.xy > side) & (dataset.cells.xy < SIDE - side), axis=1)
    assert np.abs(coords + side / 2 - dataset.cells.xy)[middle].max() <= 0.5
    assert np.array(classes)[labels].tolist() == dataset.obs["label"].tolist()


# what zarr, dask and others warn of is theirs
@pytest.mark.filterwarnings("ignore")
def test_spatialdata(file: Path, tmp_path: Path) -> None:
    spatialdata = pytest.importorskip("spatialdata", reason="spatialdata is not installed")
    out = tmp_path / "x.zarr"
    for words in ((), ("--overwrite",)):
        result = run(file, "--format", "spatialdata", "-o", out, *words)
        assert result.exit_code == 0, result.output
    store, dataset = spatialdata.read_zarr(out), read_dataset(file)
    shapes, table = spatialdata.join_spatialelement_table(
        sdata=store, spatial_element_names="nuclei", table_name="cells", how="inner"
    )
    assert len(shapes["nuclei"]) == len(table) == len(dataset.obs)
    assert table.obs["label"].tolist() == dataset.obs["label"].tolist()
    assert np.array_equal(table.X, dataset.cells.tokens)
    polygons = shapes["nuclei"].geometry
    for i in (0, 9, len(polygons) - 1):
        ring = np.array(polygons.iloc[i].exterior.coords)[:-1]
        assert np.array_equal(np.sort(ring, 0), np.sort(dataset.cells.contour(i), 0))
    in_um = spatialdata.transform(store["nuclei"], to_coordinate_system="um")
    centre = np.column_stack([in_um.centroid.x, in_um.centroid.y])
    assert np.abs((centre - dataset.cells.xy * 0.25).mean(0)).max() < 0.01


def test_files_of_segment_have_kinds(
    tmp_path: Path, pair: SimulatedPair, perfect_segment: Callable[..., Iterator[CellTable]]
) -> None:
    with write_dataset(tmp_path / "x.h5", 256) as out:
        cells = joined(perfect_segment())
        out.append(cells)
        he = SlideRecord(path=str(pair.he), mpp=0.25, size=(SIDE, SIDE))
        out.finish(("background", "nucleus"), Record(he=he))
    summary = export_cells(
        ExportOptions(file=tmp_path / "x.h5", output=tmp_path / "set", format="cellvit")
    )
    assert summary.counts == {"nucleus": len(cells)}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_failed_export_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(tmp_path)

    def fail(*_: object) -> Any:
        raise OSError(28, "full")

    monkeypatch.setattr("regdata.exports.crops.CropPlan._read", fail)
    result = run(file, "--format", "coco", "--crop", 256, "-o", tmp_path / "set")
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert files(tmp_path) == before


def test_only_exports_are_replaced(file: Path, tmp_path: Path) -> None:
    words = (file, "--format", "cellvit", "-o")
    assert run(*words, tmp_path / "set").exit_code == 0
    assert "pass --overwrite" in run(*words, tmp_path / "set").output
    before = files(tmp_path)
    (tmp_path / "set" / "old").touch()
    assert run(*words, tmp_path / "set", "--overwrite").exit_code == 0
    assert not (tmp_path / "set" / "old").exists()
    assert files(tmp_path) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "zarr.json").write_text('{"attributes": {"multiscales": []}}')
    assert "no such export made" in run(*words, tmp_path / "mine", "--overwrite").output
    assert (tmp_path / "mine").is_dir()
    (tmp_path / "slide.svs").touch()
    assert "is a file" in run(*words, tmp_path / "slide.svs", "--overwrite").output
    assert (tmp_path / "slide.svs").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("geojson", "-o", "x.json"), "ends in .geojson or .geojson.gz"),
        (("coco", "-o", "x"), "ends in .json for --format coco without --crop"),
        (("clam", "-o", "x.h5", "--overwrite"), "x.h5 is the file to export"),
        (("clam", "-o", "y.h5", "--tokens"), "--tokens belongs to --format parquet"),
        (("clam", "-o", "y.h5", "--crop", "256"), "--crop belongs to coco, cellvit, pannuke"),
        (("clam", "-o", "y.h5", "--slide", "z"), "has no slide z; it has s_1"),
        (("cellvit", "-o", "x", "--he", "gone.svs"), "gone.svs is not there; pass --he PATH"),
    ],
)
def test_mistakes_are_named(
    file: Path, words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    result = run(file, "--format", *words)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_another_slide_is_refused(file: Path, tmp_path: Path, pair: SimulatedPair) -> None:
    write_png(tmp_path / "small.png", pair.tissue.rgb[:500])
    result = run(file, "--format", "cellvit", "-o", tmp_path / "s", "--he", tmp_path / "small.png")
    assert "is 1024 x 500 pixels, the cells were found on a slide of 1024 x 1024" in result.output


def test_several_slides_need_a_choice(of_two: Path, tmp_path: Path) -> None:
    words = (of_two, "--format", "geojson", "-o", tmp_path / "x.geojson")
    assert "pass --slide NAME (a_1, b_1)" in run(*words).output
    assert run(*words, "--slide", "a_1").exit_code == 0
    features = json.loads((tmp_path / "x.geojson").read_text())["features"]
    assert len(features) == int((read_dataset(of_two).obs["slide"] == "a_1").sum())


def test_nothing_to_export_is_said(
    tmp_path: Path, pair: SimulatedPair, perfect_segment: Callable[..., Iterator[CellTable]]
) -> None:
    cells = joined(perfect_segment())
    write_labelled(tmp_path / "x.h5", cells, he_facts(pair), label="unknown")
    result = run(tmp_path / "x.h5", "--format", "cellvit", "-o", tmp_path / "set")
    assert result.exit_code == 1
    assert "has no cells to export; --keep-unknown takes those" in result.output
    assert run(tmp_path / "x.h5", "--format", "clam", "-o", tmp_path / "c.h5").exit_code == 0


@pytest.mark.parametrize("form", ["parquet", "spatialdata"])
def test_a_missing_library_is_named(
    file: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> Any:
        raise ImportError

    monkeypatch.setattr("regdata.exports.files.import_module", missing)
    suffix = {"parquet": "parquet", "spatialdata": "zarr"}[form]
    result = run(file, "--format", form, "-o", tmp_path / f"x.{suffix}")
    assert f'pip install "regdata[{form}]"' in result.output
    assert files(tmp_path) == {"x.h5"}
