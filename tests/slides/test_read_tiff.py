import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slide_files import everything, message, noise, picture

from regdata.slides.open import open_slide
from regdata.slides.write_tiff import half

RGB = ("red", "green", "blue")


LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "deflated strips": {"rowsperstrip": 7, "compression": "deflate", "predictor": True},
    "one deflated strip": {"rowsperstrip": 10000, "compression": "deflate"},
    "lzw tiles": {"tile": (32, 48), "compression": "lzw"},
    "plain tiles": {"tile": (32, 48)},
    "big endian": {"byteorder": ">"},
    "big endian tiles": {"byteorder": ">", "tile": (32, 48), "compression": "deflate"},
    "bigtiff": {"bigtiff": True, "tile": (16, 16)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "arrangement", ["pages", "planar", "contiguous", "rgb", "planar rgb", "grey"]
)
def test_tiff_layouts(tmp_path: Path, layout: str, dtype: str, arrangement: str) -> None:
    image = noise(3, 75, 101, dtype=dtype)
    options = dict(LAYOUTS[layout])
    file_options = {k: options.pop(k) for k in ("byteorder", "bigtiff") if k in options}
    stored = image
    if arrangement in ("contiguous", "rgb"):
        stored = image.transpose(1, 2, 0)
    if arrangement.startswith(("contiguous", "planar")):
        options["planarconfig"] = "contig" if arrangement == "contiguous" else "separate"
    if arrangement == "grey":
        stored = image = image[:1]
    options["photometric"] = "rgb" if "rgb" in arrangement else "minisblack"
    with tifffile.TiffWriter(tmp_path / "x.tif", **file_options) as tiff:
        tiff.write(stored, metadata=None, **options)
    slide = open_slide(tmp_path / "x.tif")
    assert slide.dtype == dtype
    assert slide.dtype.isnative
    assert slide.sizes == ((101, 75),)
    expected_rgb = "rgb" in arrangement and dtype == "uint8"
    named = tuple(f"channel {k}" for k in range(len(image)))
    assert slide.channels == (RGB if expected_rgb else named)
    assert np.array_equal(slide.read((0, 0), (101, 75)), image)
    assert np.array_equal(slide.read((33, 20), (50, 41)), image[:, 20:61, 33:83])
    last = len(image) - 1
    region = slide.read((47, 31), (2, 2), channels=(last, 0))
    assert np.array_equal(region, image[[last, 0], 31:33, 47:49])


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [("int16", "int16"), ("uint32", "float32"), ("int32", "float32"), ("float64", "float32")],
)
def test_wider_numbers_become_float32(tmp_path: Path, dtype: str, read_as: str) -> None:
    image = noise(2, 20, 30, dtype="uint16").astype(dtype) // 2
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="minisblack")
    slide = open_slide(tmp_path / "x.tif")
    assert slide.dtype == read_as
    region = slide.read((0, 0), (30, 20))
    assert region.dtype == read_as
    assert np.array_equal(region, image.astype(read_as))


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.ones((20, 30), np.complex64))
    assert "complex64 pixels" in message(tmp_path / "x.tif")


def test_jpeg_tiles_come_out_in_their_colours(tmp_path: Path) -> None:
    image = picture(200, 150)
    for subsampling in ((1, 1), (2, 2)):
        tifffile.imwrite(
            tmp_path / "x.tif", image, tile=(64, 64), photometric="rgb",
            compression="jpeg", subsampling=subsampling,
        )  # fmt: skip
        with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
            assert tiff.pages[0].photometric == 6  # YCbCr
        region = open_slide(tmp_path / "x.tif").read_rgb((40, 30), (100, 90))
        assert np.abs(region.astype(int) - image[30:120, 40:140]).max() < 12


def test_tiles_never_written_are_empty(tmp_path: Path) -> None:
    for photometric, shape, fill in (("rgb", (64, 96, 3), 255), ("minisblack", (64, 96), 0)):
        with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
            tiles = (None if k == 1 else noise(32, 32, *shape[2:], dtype="uint8") for k in range(6))
            tiff.write(
                tiles, shape=shape, dtype="uint8", tile=(32, 32), photometric=photometric,
                compression="deflate",
            )  # fmt: skip
        slide = open_slide(tmp_path / "x.tif")
        assert (slide.read((32, 0), (32, 32)) == fill).all()
        assert not (slide.read((0, 0), (32, 32)) == fill).all()
        assert slide.read((31, 0), (3, 3)).std() > 0


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_transparent_tiff_lies_on_white(tmp_path: Path, extra: str) -> None:
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[:, :10] = 40, 50, 60, 255
    rgba[:, 10:20] = (40, 50, 60, 128) if extra == "unassalpha" else (20, 25, 30, 128)
    tifffile.imwrite(tmp_path / "x.tif", rgba, photometric="rgb", extrasamples=[extra])
    slide = open_slide(tmp_path / "x.tif")
    assert slide.channels == RGB
    row = slide.read_rgb((0, 0), (30, 1))[0].astype(int)
    assert row[5].tolist() == [40, 50, 60]
    assert np.abs(row[15] - [147, 152, 157]).max() <= 1
    assert row[25].tolist() == [255, 255, 255]
    assert np.array_equal(slide.read((5, 0), (1, 1), channels=(2,)), [[[60]]])


@pytest.mark.parametrize("photometric", ["miniswhite", "palette", "separated"])
def test_other_colour_models_are_refused(tmp_path: Path, photometric: str) -> None:
    shape = (20, 30, 4) if photometric == "separated" else (20, 30)
    more = {"colormap": np.zeros((3, 256), np.uint16)} if photometric == "palette" else {}
    image = noise(*shape, dtype="uint8")
    tifffile.imwrite(tmp_path / "x.tif", image, photometric=photometric, **more)
    assert f"stores colours as {photometric.upper()}" in message(tmp_path / "x.tif")


@pytest.mark.parametrize("storage", ["subifds", "pages", "unmarked pages", "uneven sizes"])
def test_pyramids_are_found_however_stored(tmp_path: Path, storage: str) -> None:
    levels = [picture(403, 301)]
    for _ in range(2):
        levels.append(half(levels[-1], rgb=True))
    if storage == "uneven sizes":
        levels[1:] = [picture(134, 100), picture(45, 33)]
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        tiff.write(levels[0], subifds=2 if storage == "subifds" else 0, **options)
        for level in levels[1:]:
            kind = 0 if storage == "unmarked pages" else 1
            tiff.write(level, subfiletype=kind, **options)
    slide = open_slide(tmp_path / "x.tif")
    assert slide.sizes == tuple(level.shape[1::-1] for level in levels)
    for found, level in zip(everything(slide), levels, strict=True):
        assert np.array_equal(found.transpose(1, 2, 0), level)


def test_labels_and_macros_are_no_levels(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        for shape in ((100, 80, 3), (300, 400, 3), (80, 200, 3), (150, 200)):
            rgb = "rgb" if len(shape) == 3 else "minisblack"
            tiff.write(noise(*shape, dtype="uint8"), photometric=rgb, metadata=None)
    assert open_slide(tmp_path / "x.tif").sizes == ((400, 300),)


@pytest.mark.parametrize(
    ("axes", "shape", "imagej"),
    [
        ("ZYX", (3, 20, 30), True),
        ("TYX", (3, 20, 30), True),
        ("ZCYX", (3, 2, 20, 30), False),
        ("TCYX", (3, 2, 20, 30), False),
    ],
)
def test_stacks_and_series_are_refused(tmp_path: Path, axes: str, shape, imagej: bool) -> None:
    options = {"imagej": True} if imagej else {"ome": True}
    tifffile.imwrite(tmp_path / "x.tif", noise(*shape), metadata={"axes": axes}, **options)
    assert f"z-stack or time series ({axes[0]} 3)" in message(tmp_path / "x.tif")


def test_a_large_imagej_stack_has_one_page_only(tmp_path: Path) -> None:
    image = noise(4, 20, 30)
    tifffile.imwrite(tmp_path / "x.tif", image, imagej=True, metadata={"axes": "CYX"})
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+b") as tiff:
        place = tiff.pages[0].offset + 2 + 12 * len(tiff.pages[0].tags)
        order = tiff.byteorder
    raw = bytearray((tmp_path / "x.tif").read_bytes())
    raw[place : place + 4] = struct.pack(order + "I", 0)  # ImageJ itself writes no further pages
    (tmp_path / "x.tif").write_bytes(raw)
    with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
        assert len(tiff.pages) == 1
    slide = open_slide(tmp_path / "x.tif")
    assert len(slide.channels) == 4
    assert np.array_equal(slide.read((3, 4), (20, 10)), image[:, 4:14, 3:23])
