import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import everything, message, noise, picture

from regdata.slides.open import open_slide
from regdata.slides.write_tiff import write_ome_tiff

DATA = os.environ.get("REGDATA_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="REGDATA_DATA does not name the real images")
RGB = ("red", "green", "blue")


def test_sixteen_bits_never_reach_openslide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(3, 300, 400)
    write_ome_tiff(tmp_path / "if.svs", image, 0.5, ["DAPI", "a", "b"])
    tifffile.imwrite(
        tmp_path / "aperio.svs", image[0], tile=(64, 64),
        description="Aperio Image Library v11.2.1\n|MPP = 0.5", metadata=None,
    )  # fmt: skip
    import openslide

    # it would take both
    assert openslide.OpenSlide.detect_format(tmp_path / "if.svs") == "generic-tiff"
    assert openslide.OpenSlide.detect_format(tmp_path / "aperio.svs") == "aperio"
    monkeypatch.setattr(
        "regdata.slides.read_openslide.openslide_slide", lambda _: pytest.fail("reached")
    )
    assert np.array_equal(everything(open_slide(tmp_path / "if.svs"))[0], image)
    assert np.array_equal(everything(open_slide(tmp_path / "aperio.svs"))[0], image[:1])


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    image = picture(60, 50)
    Image.fromarray(image).save(tmp_path / "x.tif", "png")
    tifffile.imwrite(tmp_path / "x.png", image, photometric="rgb")
    for name in ("x.tif", "x.png"):
        assert np.array_equal(open_slide(str(tmp_path / name)).read_rgb((0, 0), (60, 50)), image)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"x,y,class\n1,2,3\n", "got a text file"),
        (b"%PDF-1.7", "got a PDF"),
        (b"PK\x03\x04....", "got a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "got an HDF5 file"),
        (b"\x07\x01\x02\x03\x80", "first bytes 07 01 02 03"),
        (b"\0" * 128 + b"DICM" + b"\0" * 99, "a DICOM file that is no whole-slide image"),
        (b"", "is empty"),
        (b"II*\0", "TIFF"),
        (b"II*\0\x08\0\0\0\0\0", "TIFF"),
        (b"\x89PNG\r\n\x1a\n", "truncated or damaged picture"),
        (b"\xff\xd8\xff\xe0", "truncated or damaged picture"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "x.svs").write_bytes(content)
    assert found in message(tmp_path / "x.svs")


def test_missing_files_and_plain_folders(tmp_path: Path) -> None:
    assert message(tmp_path / "nothing.tif").endswith("nothing.tif: no such file")
    assert "is a folder and no OME-Zarr" in message(tmp_path)
    (tmp_path / "scan.vsi").write_bytes(b"II*\0")
    (tmp_path / "_scan_").mkdir()
    assert "Olympus VSI" in message(tmp_path / "scan.vsi")


@needs_data
def test_real_svs() -> None:
    slide = open_slide(Path(str(DATA)) / "slides/small_HE.svs")
    assert slide.sizes == ((2220, 2967),)
    assert slide.mpp == pytest.approx(0.499)
    assert slide.channels == RGB
    with tifffile.TiffFile(slide.path) as tiff:
        expected = tiff.pages[0].asarray()[1000:1400, 900:1500]
    region = slide.read_rgb((900, 1000), (600, 400))
    assert np.abs(region.astype(int) - expected).mean() < 1
    assert np.array_equal(slide.read((900, 1000), (60, 40), channels=(2,))[0], region[:40, :60, 2])


@needs_data
def test_truncated_svs(tmp_path: Path) -> None:
    whole = (Path(str(DATA)) / "slides/small_HE.svs").read_bytes()
    for share in (0.3, 0.9):
        (tmp_path / "x.svs").write_bytes(whole[: int(len(whole) * share)])
        message(tmp_path / "x.svs")


@needs_data
def test_real_qptiff() -> None:
    slide = open_slide(Path(str(DATA)) / "slides/small_vectra.qptiff")
    assert slide.channels == ("DAPI", "FITC", "Cy3")
    assert slide.sizes == ((1920, 1440),)
    assert slide.mpp == pytest.approx(0.4965, abs=1e-4)
    assert np.array_equal(everything(slide)[0], tifffile.imread(slide.path))


@needs_data
def test_real_imagej() -> None:
    slide = open_slide(Path(str(DATA)) / "slides/105.tif")
    assert slide.dtype == np.uint16
    assert slide.sizes == ((960, 832),)
    assert slide.mpp == pytest.approx(0.65, abs=1e-4)
    assert np.array_equal(everything(slide)[0][0], tifffile.imread(slide.path))


@needs_data
@pytest.mark.parametrize("scanner", ["A", "N1", "N2", "Z"])
def test_real_tiled_jpeg_pyramids(scanner: str) -> None:
    (path,) = (Path(str(DATA)) / "pairs/four_scanners").glob(f"{scanner}_BB_574162*")
    slide = open_slide(path)
    assert slide.mpp is None  # the tag says 1000
    assert slide.downsamples == (1, 2, 4, 8, 16, 32)
    assert slide.channels == RGB
    with tifffile.TiffFile(path) as tiff:
        for k in (0, 3):
            expected = tiff.series[0].levels[k].asarray()[100:300, 200:500]
            region = slide.read_rgb((200 * 2**k, 100 * 2**k), (300, 200), 2**k)
            assert np.array_equal(region, expected)


@needs_data
def test_real_pictures() -> None:
    for path in sorted((Path(str(DATA)) / "pairs").glob("*/*.[pj][np]g")):
        slide = open_slide(path)
        assert slide.is_rgb
        expected = np.asarray(Image.open(path).convert("RGB"))
        assert np.array_equal(slide.read_rgb((0, 0), slide.size), expected)
