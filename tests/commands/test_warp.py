import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import ndimage
from slide_files import everything, picture

from regdata.commands.cli import main
from regdata.slides.open import open_slide
from regdata.slides.write_tiff import write_ome_tiff
from regdata.transforms.displacement import Displacement
from regdata.transforms.file import save_transform
from regdata.transforms.transform import Transform
from regdata.transforms.warp import warped

HE_MPP, IF_MPP = 0.25, 0.325
CHANNELS = ("DAPI", "CD3", "CD20")


@dataclass(frozen=True)
class Files:
    he: Path
    if_: Path
    transform: Path
    he_to_if: Transform


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A small pair and a transform with a turn, a shift and a field."""
    folder = tmp_path_factory.mktemp("warp")
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=(3, 500, 480)), (0, 2, 2))
    image = (40_000 * (image - image.min()) / np.ptp(image)).astype(np.uint16)
    write_ome_tiff(folder / "he.ome.tif", picture(700, 620), HE_MPP)
    write_ome_tiff(folder / "if.ome.tif", image, IF_MPP, CHANNELS)
    values = ndimage.gaussian_filter(rng.normal(size=(2, 30, 30)), (0, 2, 2)) * 10
    field = Displacement.through(values, np.array([-10.0, -10.0]), 8.0)
    matrix = np.array([[0.95, 0.2, -10.0], [-0.2, 0.95, 25.0], [0, 0, 1]])
    he_to_if = Transform.displaced(field).then(Transform.affine(matrix))
    save_transform(folder / "t.h5", he_to_if)
    return Files(folder / "he.ome.tif", folder / "if.ome.tif", folder / "t.h5", he_to_if)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def warp(files: Files, output: Path, *more: object, **other: Path) -> Result:
    paths = {"he": files.he, "if": files.if_, "transform": files.transform} | other
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return run("warp", *options, "-o", output, *more)


def refused(result: Result, *words: str) -> None:
    """Exit code 1, one line that says all of `words`, no traceback."""
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.output
    assert result.stderr.strip().splitlines()[-1] == lines[0]
    for word in words:
        assert word in lines[0], lines[0]


def test_the_if_slide_in_the_frame_of_the_he(files: Files, tmp_path: Path) -> None:
    result = warp(files, tmp_path / "x.ome.tif")
    assert result.exit_code == 0, result.output
    assert "700 x 620 pixels at 0.25 µm, 3 channels" in result.stdout
    assert "100%" in result.stderr
    written, he = open_slide(tmp_path / "x.ome.tif"), open_slide(files.he)
    assert (written.sizes, written.channels, written.dtype) == (he.sizes, CHANNELS, np.uint16)
    assert written.mpp == pytest.approx(HE_MPP)
    seen = warped(open_slide(files.if_), he, files.he_to_if)
    assert np.array_equal(written.read((0, 0), he.size), seen.read((0, 0), he.size))
    assert [path.name for path in tmp_path.iterdir()] == ["x.ome.tif"]


def test_ome_zarr_holds_the_same(files: Files, tmp_path: Path) -> None:
    for name in ("x.ome.tif", "x.ome.zarr"):
        result = warp(files, tmp_path / name)
        assert result.exit_code == 0, result.output
    tiff, folder = (open_slide(tmp_path / name) for name in ("x.ome.tif", "x.ome.zarr"))
    assert (folder.sizes, folder.channels, folder.dtype) == (tiff.sizes, CHANNELS, np.uint16)
    assert folder.mpp == pytest.approx(HE_MPP)
    for a, b in zip(everything(tiff), everything(folder), strict=True):
        assert np.array_equal(a, b)
    refused(warp(files, tmp_path / "x.ome.zarr"), "exists", "--overwrite")
    assert warp(files, tmp_path / "x.ome.zarr", "--overwrite", "--output-mpp", 1).exit_code == 0
    assert open_slide(tmp_path / "x.ome.zarr").size == (175, 155)
    (tmp_path / "mine.zarr").mkdir()
    refused(warp(files, tmp_path / "mine.zarr", "--overwrite"), "mine.zarr", "no OME-Zarr")
    assert len(list(tmp_path.iterdir())) == 3


def test_some_channels_at_another_pixel_size(files: Files, tmp_path: Path) -> None:
    chosen = ["--channel", "cd20", "--channel", "0", "--channel", "CD20", "--output-mpp", "0.7"]
    result = warp(files, tmp_path / "x.ome.tif", *chosen)
    assert result.exit_code == 0, result.output
    written = open_slide(tmp_path / "x.ome.tif")
    assert written.channels == ("CD20", "DAPI")
    assert written.size == (250, 222)
    assert written.mpp == pytest.approx(0.7)


def test_stated_pixel_sizes_count(files: Files, tmp_path: Path) -> None:
    silent = tmp_path / "silent.ome.tif"
    slide = open_slide(files.if_)
    write_ome_tiff(silent, slide.read((0, 0), slide.size), None, CHANNELS)
    refused(warp(files, tmp_path / "x.ome.tif", **{"if": silent}), "silent.ome.tif", "--if-mpp")
    result = warp(files, tmp_path / "x.ome.tif", "--if-mpp", IF_MPP, **{"if": silent})
    assert result.exit_code == 0, result.output
    warp(files, tmp_path / "y.ome.tif")
    a, b = (
        open_slide(tmp_path / name).read((0, 0), (700, 620)) for name in ("x.ome.tif", "y.ome.tif")
    )
    assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["x.png", "x", "x.h5"])
def test_other_formats_are_not_written(files: Files, tmp_path: Path, name: str) -> None:
    refused(warp(files, tmp_path / name), name, ".ome.tif or .ome.zarr")
    assert not list(tmp_path.iterdir())


def test_an_output_is_replaced_only_when_told(files: Files, tmp_path: Path) -> None:
    output = tmp_path / "x.tif"
    output.write_text("older")
    refused(warp(files, output), "x.tif exists", "--overwrite")
    assert output.read_text() == "older"
    assert warp(files, output, "--overwrite", "--output-mpp", 2).exit_code == 0
    assert open_slide(output).channels == CHANNELS


def test_an_input_is_not_replaced(files: Files) -> None:
    refused(warp(files, files.if_, "--overwrite"), "if.ome.tif", "input")


def test_mistakes_are_told_in_one_line(files: Files, tmp_path: Path) -> None:
    output = tmp_path / "x.ome.tif"
    refused(warp(files, output, he=tmp_path / "no.svs"), "no.svs")
    refused(warp(files, output, transform=tmp_path / "no.h5"), "no.h5")
    refused(warp(files, output, transform=files.he), "he.ome.tif", "transform")
    refused(warp(files, output, "--channel", "CD4"), "CD4", "DAPI")
    folder = tmp_path / "folder.tif"
    folder.mkdir()
    refused(warp(files, folder, "--overwrite"), "folder")
    assert warp(files, output, "--output-mpp", 0).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["folder.tif"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("name", ["x.ome.tif", "x.ome.zarr"])
def test_what_is_stopped_leaves_what_was_there(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, name: str
) -> None:
    from regdata.transforms import warp as module

    calls: list[int] = []
    pull = module.pull_exactly

    def stopping(*words: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            assert any(path.name.endswith(".part") for path in tmp_path.iterdir())
            raise problem
        return pull(*words)  # type: ignore[arg-type]

    assert warp(files, tmp_path / name, "--output-mpp", 1).exit_code == 0
    monkeypatch.setattr(module, "pull_exactly", stopping)
    result = warp(files, tmp_path / name, "--overwrite")
    if isinstance(problem, OSError):
        refused(result, "No space left")
    else:
        assert result.exit_code == 1
        assert "Aborted!" in result.output
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert open_slide(tmp_path / name).mpp == pytest.approx(1)


def both(files: Files, origin: str) -> list[object]:
    sizes = ["--he-mpp", HE_MPP, "--if-mpp", IF_MPP]
    return ["--transform", files.transform, "--from", origin, *sizes]


def test_points_there_and_back(files: Files, tmp_path: Path) -> None:
    xy = np.random.default_rng(0).uniform(0, 600, (50, 2))
    lines = [f"{k},{x:.6f},{y:.6f}" for k, (x, y) in enumerate(xy)]
    (tmp_path / "he.csv").write_text("\n".join(["name,x,y", *lines]))
    there = run("warp-points", tmp_path / "he.csv", "-o", tmp_path / "if.csv", *both(files, "he"))
    assert there.exit_code == 0, there.output
    assert "50 points" in there.stdout
    on_if = np.loadtxt(tmp_path / "if.csv", delimiter=",", skiprows=1)
    true = files.he_to_if.points(xy * HE_MPP) / IF_MPP
    assert np.abs(on_if - np.column_stack([np.arange(50), true])).max() < 1e-3
    back = run("warp-points", tmp_path / "if.csv", "-o", tmp_path / "b.csv", *both(files, "if"))
    assert back.exit_code == 0, back.output
    returned = np.loadtxt(tmp_path / "b.csv", delimiter=",", skiprows=1)[:, 1:]
    assert np.abs(returned - xy).max() * HE_MPP < 0.001


def test_an_outline_lies_where_its_spot_does(files: Files, tmp_path: Path) -> None:
    """A bright square of the IF slide and its outline, warped by the two commands."""
    image = np.zeros((1, 500, 480), np.uint16)
    image[0, 200:240, 150:190] = 50_000
    square = [[150, 200], [190, 200], [190, 240], [150, 240], [150, 200]]
    write_ome_tiff(tmp_path / "if.tif", image, IF_MPP, ["CD3"])
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square]}}
    (tmp_path / "a.geojson").write_text(json.dumps([feature]))
    assert warp(files, tmp_path / "x.ome.tif", **{"if": tmp_path / "if.tif"}).exit_code == 0
    target = tmp_path / "b.geojson.gz"
    result = run("warp-geojson", tmp_path / "a.geojson", "-o", target, *both(files, "if"))
    assert result.exit_code == 0, result.output
    assert "5 positions" in result.stdout
    (found,) = json.loads(gzip.decompress(target.read_bytes()))
    ring = np.array(found["geometry"]["coordinates"][0])
    shown = open_slide(tmp_path / "x.ome.tif").read((0, 0), (700, 620))[0] > 25_000
    y, x = np.nonzero(shown)
    area = 0.5 * abs(np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]))
    assert shown.sum() == pytest.approx(area, rel=0.01)
    for corner in ring[:4]:
        assert np.hypot(x + 0.5 - corner[0], y + 0.5 - corner[1]).min() < 1.5


def test_pixel_sizes_may_come_with_the_transform(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n100,200\n")
    plain = ["warp-points", tmp_path / "a.csv", "-o", tmp_path / "b.csv", "--from", "he"]
    refused(run(*plain, "--transform", files.transform), "t.h5", "H&E", "--he-mpp")
    missing = run(*plain, "--transform", files.transform, "--he-mpp", 0.25)
    refused(missing, "IF", "--if-mpp")
    save_transform(tmp_path / "t.h5", Transform.identity(), {"he_mpp": 0.25, "if_mpp": 0.5})
    assert run(*plain, "--transform", tmp_path / "t.h5").exit_code == 0
    assert (tmp_path / "b.csv").read_text() == "x,y\n50.0000,100.0000\n"
    result = run(*plain, "--transform", tmp_path / "t.h5", "--if-mpp", 1, "--overwrite")
    assert result.exit_code == 0
    assert (tmp_path / "b.csv").read_text() == "x,y\n25.0000,50.0000\n"


@pytest.mark.parametrize("command", ["warp-points", "warp-geojson"])
def test_mistakes_with_coordinates(files: Files, tmp_path: Path, command: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    words = [command, source, "-o", target, *both(files, "he")]
    refused(run(*words), "source", "does not exist")
    source.write_text("")
    refused(run(*words), "source", "empty")
    source.write_text("a;b\n1;2\n")
    refused(run(*words), "source", "expected")
    source.write_bytes(files.he.read_bytes()[:5000])
    refused(run(*words), "source", "expected")
    target.write_text("older")
    refused(run(*words), "target exists", "--overwrite")
    refused(run(*words[:2], "-o", source, *words[4:], "--overwrite"), "source", "input")
    assert run(*words[:-6], "--overwrite").exit_code == 2  # from where?
    assert target.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("command", ["warp-points", "warp-geojson"])
def test_ctrl_c_leaves_no_coordinates(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").write_text(
        "x,y\n1,2\n" if command == "warp-points" else '{"type": "Point", "coordinates": [1, 2]}'
    )
    monkeypatch.setattr(Transform, "points", interrupted)
    result = run(command, tmp_path / "a", "-o", tmp_path / "b", *both(files, "he"))
    assert result.exit_code == 1
    assert "Aborted!" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_fold_is_told_in_one_line(files: Files, tmp_path: Path) -> None:
    values = np.zeros((2, 8, 8))
    values[0, :, 3:] = -60
    field = Displacement.through(values, np.array([0.0, 0.0]), 10.0)
    assert field.min_jacobian() < 0
    save_transform(tmp_path / "fold.h5", Transform.displaced(field).inverse())
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{x},100\n" for x in range(0, 300, 5)))
    options = ["--transform", tmp_path / "fold.h5", "--from", "he", "--he-mpp", 0.25]
    result = run(
        "warp-points", tmp_path / "a.csv", "-o", tmp_path / "b.csv", *options, "--if-mpp", 1
    )
    refused(result, "folds")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "fold.h5"]
