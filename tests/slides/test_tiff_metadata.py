from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from slide_files import everything, noise

from regdata.slides.open import open_slide
from regdata.slides.write_tiff import half

RGB = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [
        (0.5, "µm", 0.5),
        (500, "nm", 0.5),
        (0.0005, "mm", 0.5),
        (5e-5, "cm", 0.5),
        (5e-7, "m", 0.5),
        (1.0, "pixel", None),
        (1000.0, "µm", None),
        (0.0, "µm", None),
    ],
)
def test_physical_sizes_of_ome(tmp_path: Path, size: float, unit: str, mpp: float | None) -> None:
    metadata = {"axes": "CYX"}
    metadata |= {f"PhysicalSize{a}": size for a in "XY"}
    metadata |= {f"PhysicalSize{a}Unit": unit for a in "XY"}
    tifffile.imwrite(tmp_path / "x.ome.tif", noise(2, 20, 30), metadata=metadata)
    assert open_slide(tmp_path / "x.ome.tif").mpp == (mpp and pytest.approx(mpp))


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((20000, 20000), "CENTIMETER", 0.5),
        ((50800, 50800), "INCH", 0.5),
        ((10, 10), "CENTIMETER", None),
        ((72, 72), "INCH", None),
        ((20000, 20000), "NONE", None),
        ((20000, 10000), "CENTIMETER", None),
        ((1, 1), "INCH", None),
    ],
)
def test_resolution_tags(tmp_path: Path, resolution, unit: str, mpp: float | None) -> None:
    image = noise(20, 30)
    tifffile.imwrite(tmp_path / "x.tif", image, resolution=resolution, resolutionunit=unit)
    assert open_slide(tmp_path / "x.tif").mpp == (mpp and pytest.approx(mpp))


def test_ome_without_a_size_may_have_it_in_the_tags(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "x.ome.tif", noise(20, 30), resolution=(4e4, 4e4), resolutionunit="CENTIMETER"
    )
    assert open_slide(tmp_path / "x.ome.tif").mpp == pytest.approx(0.25)


def test_the_facts_of_the_largest_image_count(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as tiff:
        for scale, names in ((5.0, ["macro 1", "macro 2"]), (0.5, ["DAPI", "CD3"])):
            metadata = {"axes": "CYX", "Channel": {"Name": names}}
            metadata |= {f"PhysicalSize{axis}": scale for axis in "XY"}
            size = int(20 / scale)
            tiff.write(noise(2, size, size + 9), photometric="minisblack", metadata=metadata)
    slide = open_slide(tmp_path / "x.ome.tif")
    assert slide.sizes == ((49, 40),)
    assert slide.mpp == 0.5
    assert slide.channels == ("DAPI", "CD3")


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m"])
def test_imagej(tmp_path: Path, unit: str) -> None:
    labels = ["DAPI", "CD3", "CD8"]
    tifffile.imwrite(
        tmp_path / "x.tif", noise(3, 20, 30), imagej=True, resolution=(2, 2),
        metadata={"axes": "CYX", "unit": unit, "Labels": labels},
    )  # fmt: skip
    slide = open_slide(tmp_path / "x.tif")
    assert slide.mpp == pytest.approx(0.5)
    assert slide.channels == tuple(labels)


@pytest.mark.parametrize(
    ("names", "dtype", "found"),
    [
        (["Red", "Green", "Blue"], "uint8", RGB),
        (["R", "G", "B"], "uint8", RGB),
        (["Red", "Green", "Blue"], "uint16", ("Red", "Green", "Blue")),
        (["DAPI", "", "CD8"], "uint8", ("DAPI", "channel 1", "CD8")),
        (["DAPI"], "uint8", ("channel 0", "channel 1", "channel 2")),
    ],
)
def test_names_of_ome_channels(tmp_path: Path, names, dtype: str, found) -> None:
    path = tmp_path / "x.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    padded = {"axes": "CYX", "Channel": {"Name": (names * 3)[:3]}}
    image = noise(3, 20, 30, dtype=dtype)
    tifffile.imwrite(
        path, image, photometric="minisblack", metadata=metadata if len(names) == 3 else padded
    )
    if len(names) < 3:  # an element for one channel only
        with tifffile.TiffFile(path) as tiff:
            xml = tiff.ome_metadata
        second = xml.index("<Channel", xml.index("<Channel") + 1)
        tifffile.tiffcomment(path, (xml[:second] + xml[xml.index("<TiffData") :]).encode())
    assert open_slide(path).channels == found


def qptiff(path: Path, tiled: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """A file laid out as PerkinElmer's: channels, thumbnail, smaller channels, overview, label."""
    image = noise(3, 96, 128, dtype="uint8")
    small = half(image, rgb=False)
    xml = (
        '<?xml version="1.0" encoding="utf-16"?>\r\n<PerkinElmer-QPI-ImageDescription>'
        "<ImageType>{}</ImageType>{}<Filter><Name>wrong</Name></Filter>"
        "</PerkinElmer-QPI-ImageDescription>"
    )
    names = ["<Name>DAPI</Name>", "<Name>Opal 520</Name><Biomarker>CD8</Biomarker>", ""]

    def write(tiff: tifffile.TiffWriter, page: NDArray[Any], kind: str, name: str = "") -> None:
        tiff.write(
            page, description=xml.format(kind, name), metadata=None, software="PerkinElmer-QPI",
            photometric="rgb" if page.ndim == 3 else "minisblack",
            resolution=(20000, 20000), resolutionunit="CENTIMETER", contiguous=False,
            tile=(64, 64) if tiled and kind.endswith("Resolution") else None,
        )  # fmt: skip

    with tifffile.TiffWriter(path) as tiff:
        for page, name in zip(image, names, strict=True):
            write(tiff, page, "FullResolution", name)
        write(tiff, noise(24, 32, 3, dtype="uint8"), "Thumbnail")
        for page in small if tiled else ():
            write(tiff, page, "ReducedResolution")
        write(tiff, noise(40, 30, 3, dtype="uint8"), "Overview")
        write(tiff, noise(12, 30, 3, dtype="uint8"), "Label")
    return image, small


def test_qptiff_with_pyramid(tmp_path: Path) -> None:
    image, small = qptiff(tmp_path / "x.qptiff")
    slide = open_slide(tmp_path / "x.qptiff")
    assert slide.channels == ("DAPI", "CD8", "channel 2")
    assert slide.mpp == pytest.approx(0.5)
    assert slide.sizes == ((128, 96), (64, 48))
    full, reduced = everything(slide)
    assert np.array_equal(full, image)
    assert np.array_equal(reduced, small)


def test_qptiff_without_pyramid(tmp_path: Path) -> None:
    image, _ = qptiff(tmp_path / "x.qptiff", tiled=False)
    slide = open_slide(tmp_path / "x.qptiff")
    assert slide.sizes == ((128, 96),)
    assert np.array_equal(everything(slide)[0], image)
