from pathlib import Path

import numpy as np
import pytest
from slide_files import everything, noise, picture

from regdata.errors import RegdataError
from regdata.open import open_slide
from regdata.write_tiff import write_ome_tiff

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
    monkeypatch.setattr("regdata.write_tiff.TiffWriter.write", full)
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
