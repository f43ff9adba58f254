import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from slide_files import everything, message, noise

from regdata.errors import RegdataError
from regdata.slides.open import open_slide
from regdata.slides.write_tiff import write_ome_tiff

Writer = Callable[[Path, NDArray[Any]], None]


def write_png(path: Path, image: NDArray[Any]) -> None:
    Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8)).save(path, "png")


def write_jpeg(path: Path, image: NDArray[Any]) -> None:
    Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8)).save(path, "jpeg")


WRITERS: dict[str, Writer] = {
    "ome pyramid": lambda path, image: write_ome_tiff(path, image, 0.5, ["a", "b", "c"]),
    "tiled": lambda path, image: tifffile.imwrite(
        path, image, photometric="minisblack", tile=(64, 64), compression="deflate"
    ),
    "pages": lambda path, image: tifffile.imwrite(
        path, image, photometric="minisblack", contiguous=False, rowsperstrip=50
    ),
    "imagej": lambda path, image: tifffile.imwrite(
        path, image, imagej=True, metadata={"axes": "CYX"}
    ),
    "rgb": lambda path, image: tifffile.imwrite(
        path, image.transpose(1, 2, 0).astype(np.uint8), photometric="rgb"
    ),
    "png": write_png,
    "jpeg": write_jpeg,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_truncated_files_are_refused_or_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.tif"
    WRITERS[kind](path, noise(3, 600, 300))
    whole = path.read_bytes()
    pixels = everything(open_slide(path))
    refused = 0
    for tenth in np.linspace(0.02, 0.999, 25):
        path.write_bytes(whole[: int(len(whole) * tenth)])
        try:
            found = everything(open_slide(path))
        except RegdataError:
            message(path)
            refused += 1
        else:
            assert len(found) == len(pixels)
            assert all(np.array_equal(a, b) for a, b in zip(found, pixels, strict=True))
    assert refused >= 20


def test_broken_tiles_are_told_when_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    WRITERS["tiled"](path, noise(3, 600, 300))
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    raw = bytearray(path.read_bytes())
    raw[offset : offset + count] = b"\x55" * count
    path.write_bytes(raw)
    slide = open_slide(path)
    slide.read((100, 100), (50, 50))
    with pytest.raises(RegdataError, match=r"x\.tif is truncated or damaged"):
        slide.read((0, 0), (50, 50))


def test_a_file_cut_after_it_was_opened(tmp_path: Path) -> None:
    for kind in ("tiled", "pages"):
        path = tmp_path / f"{kind}.tif"
        WRITERS[kind](path, noise(3, 600, 300))
        slide = open_slide(path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(RegdataError, match=path.name):
            everything(slide)


def test_half_a_jpeg_tile_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    image = noise(64, 64, 3, dtype="uint8")
    tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        middle = tiff.pages[0].dataoffsets[0] + tiff.pages[0].databytecounts[0] // 2
    slide = open_slide(path)
    path.write_bytes(path.read_bytes()[:middle])
    with pytest.raises(RegdataError, match="bytes missing at its end"):
        everything(slide)


@pytest.mark.parametrize("kind", ["tiled", "rgb", "imagej"])
def test_missing_pixels_are_told_when_opening(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.tif"
    WRITERS[kind](path, noise(3, 600, 300))
    with tifffile.TiffFile(path) as tiff:
        last = max(page.dataoffsets[-1] + page.databytecounts[-1] for page in tiff.pages)
        assert all(page.offset < last - 9 for page in tiff.pages) or kind != "rgb"
    path.write_bytes(path.read_bytes()[: last - 9])
    with pytest.raises(RegdataError, match=r"x\.tif is (a )?truncated"):
        open_slide(path)


def test_damage_is_told_in_one_line_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, noise(600, 300), description="lost " * 100, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        raw = bytearray(path.read_bytes())
        place = tiff.pages[0].tags["ImageDescription"].offset + 8
    raw[place : place + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(raw)
    code = (
        "import sys, click; from regdata.slides.open import open_slide\n"
        "try: open_slide(sys.argv[1])\n"
        "except click.ClickException as error: error.show()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "truncated" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_damaged_slide_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    WRITERS["tiled"](path, noise(3, 600, 300))
    path.write_bytes(path.read_bytes()[:5000])
    message(path)
    if sys.platform == "linux":
        opened = {os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")}
        assert str(path) not in opened
