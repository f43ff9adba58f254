import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from slide_files import everything, noise, picture

from regdata.errors import RegdataError
from regdata.slides.open import open_slide
from regdata.slides.write_tiff import STRIP, Layout, half, stream_ome_tiff, write_ome_tiff

RGB = ("red", "green", "blue")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_written_fluorescence_is_read_back(tmp_path: Path, dtype: str) -> None:
    image = noise(2, 1100, 1301, dtype=dtype)
    write_ome_tiff(tmp_path / "if.tif", image, 0.42, ["DAPI", "CD3 µ"])
    slide = open_slide(tmp_path / "if.tif")
    assert slide.channels == ("DAPI", "CD3 µ")
    assert slide.mpp == pytest.approx(0.42)
    assert slide.sizes == ((1301, 1100), (651, 550), (326, 275))
    assert slide.downsamples == (1, 2, 4)
    level = image
    for found in everything(slide):
        assert np.array_equal(found, level)
        padded = np.pad(level, ((0, 0), (0, level.shape[1] % 2), (0, level.shape[2] % 2)), "edge")
        blocks = padded.reshape(2, padded.shape[1] // 2, 2, padded.shape[2] // 2, 2)
        mean = blocks.astype(float).mean((2, 4))
        level = (np.rint(mean) if dtype.startswith("u") else mean).astype(dtype)


@pytest.mark.parametrize("jpeg", [False, True])
def test_written_colours_are_read_back(tmp_path: Path, jpeg: bool) -> None:
    image = picture(700, 600)
    write_ome_tiff(tmp_path / "he.tif", image, 0.25, jpeg=jpeg)
    slide = open_slide(tmp_path / "he.tif")
    assert slide.channels == RGB
    assert slide.mpp == pytest.approx(0.25)
    assert slide.sizes == ((700, 600), (350, 300))
    difference = np.abs(slide.read_rgb((0, 0), (700, 600)).astype(int) - image)
    assert difference.max() <= (12 if jpeg else 0)
    assert difference.mean() <= (2 if jpeg else 0)


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "x.tif").write_text("older")
    monkeypatch.setattr("regdata.slides.write_tiff.TiffWriter.write", full)
    with pytest.raises(RegdataError, match=r"x\.tif: No space left"):
        write_ome_tiff(tmp_path / "x.tif", picture(20, 20), None)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]
    assert (tmp_path / "x.tif").read_text() == "older"


@pytest.mark.parametrize(
    ("shape", "names", "jpeg"),
    [((2, 9, 9), None, False), ((2, 9, 9), ["a"], False), ((2, 9, 9), ["a", "b"], True)],
)
def test_a_writer_needs_names_that_fit(tmp_path: Path, shape, names, jpeg) -> None:
    with pytest.raises(RegdataError, match=r"x\.tif"):
        write_ome_tiff(tmp_path / "x.tif", np.zeros(shape, np.uint8), 1.0, names, jpeg=jpeg)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("size", [(3001, 300), (300, 3001), (1024, 2049), (513, 512), (1, 1)])
def test_levels_of_a_stream_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], rgb: bool
) -> None:
    monkeypatch.setattr("regdata.slides.write_tiff._CHUNK", 100)
    width, height = size
    level = noise(height, width, 3, dtype="uint8") if rgb else noise(2, height, width)
    write_ome_tiff(tmp_path / "x.tif", level, 0.5, None if rgb else ["a", "b"])
    slide = open_slide(tmp_path / "x.tif")
    assert max(slide.sizes[-1]) <= 512
    assert len(slide.sizes) == 1 or max(slide.sizes[-2]) > 512
    for found in everything(slide):
        assert np.array_equal(found, level.transpose(2, 0, 1) if rgb else level)
        level = half(level, rgb)


def test_other_readers_find_pyramid_names_and_pixel_size(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "x.ome.tif", noise(2, 1200, 700), 0.325, ["DAPI", "CD3"])
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert file.is_ome
        assert not file.is_bigtiff
        (series,) = file.series
        assert [level.shape for level in series.levels] == [
            (2, 1200, 700),
            (2, 600, 350),
            (2, 300, 175),
        ]
        assert all(level.keyframe.is_tiled for level in series.levels)
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [channel["Name"] for channel in image["Channel"]] == ["DAPI", "CD3"]
    assert (image["PhysicalSizeX"], image["PhysicalSizeXUnit"]) == (0.325, "µm")
    assert (image["Type"], image["SizeC"]) == ("uint16", 2)


def test_large_files_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regdata.slides.write_tiff._CLASSIC", 2 * 700 * 600 * 2 - 1)
    image = noise(2, 700, 600)
    write_ome_tiff(tmp_path / "x.ome.tif", image, 0.5, ["a", "b"])
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert file.is_bigtiff
    assert np.array_equal(everything(open_slide(tmp_path / "x.ome.tif"))[0], image)


def zeros(layout: Layout) -> Iterator[NDArray[np.uint16]]:
    width, height = layout.size
    for _ in layout.channels or ():
        for y in range(0, height, STRIP):
            yield np.zeros((min(STRIP, height - y), width), np.uint16)


def test_memory_does_not_grow_with_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regdata.slides.write_tiff._BUFFER", 2**20)
    layout = Layout((2000, 9000), np.dtype(np.uint16), 0.5, ("a", "b"))
    tracemalloc.start()
    stream_ome_tiff(tmp_path / "x.ome.tif", layout, zeros(layout))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6 < 2000 * 9000 * 2 * 2 / 2
    assert open_slide(tmp_path / "x.ome.tif").size == (2000, 9000)


def test_an_interrupted_stream_leaves_what_was_there(tmp_path: Path) -> None:
    def strips() -> Iterator[NDArray[np.uint16]]:
        yield np.zeros((STRIP, 600), np.uint16)
        raise KeyboardInterrupt

    (tmp_path / "x.tif").write_text("older")
    layout = Layout((600, 2000), np.dtype(np.uint16), 0.5, ("a",))
    with pytest.raises(KeyboardInterrupt):
        stream_ome_tiff(tmp_path / "x.tif", layout, strips())
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]
    assert (tmp_path / "x.tif").read_text() == "older"
