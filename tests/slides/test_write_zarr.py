from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from slide_files import everything, noise

from regdata.errors import RegdataError
from regdata.slides.open import open_slide
from regdata.slides.write_tiff import STRIP, Layout, half
from regdata.slides.write_zarr import stream_ome_zarr


def strips(planes: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for plane in planes:
        for y in range(0, len(plane), STRIP):
            yield plane[y : y + STRIP]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(1301, 1100), (300, 4201), (1, 1)])
def test_written_channels_are_read_back(tmp_path: Path, dtype: str, size: tuple[int, int]) -> None:
    level = noise(2, size[1], size[0], dtype=dtype)
    layout = Layout(size, level.dtype, 0.42, ("DAPI", "CD3 µ"))
    stream_ome_zarr(tmp_path / "x.zarr", layout, strips(level))
    slide = open_slide(tmp_path / "x.zarr")
    assert (slide.channels, slide.dtype) == (("DAPI", "CD3 µ"), dtype)
    assert slide.mpp == pytest.approx(0.42)
    assert list(slide.sizes) == layout.levels
    for found in everything(slide):
        assert np.array_equal(found, level)
        level = half(level, rgb=False)


def test_colours_stay_colours(tmp_path: Path) -> None:
    image = noise(700, 600, 3, dtype="uint8")
    layout = Layout((600, 700), image.dtype, 0.25)
    pieces = (image[y : y + STRIP] for y in range(0, 700, STRIP))
    stream_ome_zarr(tmp_path / "x.zarr", layout, pieces)
    slide = open_slide(tmp_path / "x.zarr")
    assert slide.is_rgb
    assert np.array_equal(slide.read_rgb((0, 0), (600, 700)), image)


def test_metadata_are_those_of_version_0_4(tmp_path: Path) -> None:
    image = noise(2, 700, 600)
    image[1] = 0
    layout = Layout((600, 700), image.dtype, 0.5, ("a", "b"))
    stream_ome_zarr(tmp_path / "x.ome.zarr", layout, strips(image))
    group = zarr.open_group(tmp_path / "x.ome.zarr", mode="r")
    (multiscale,) = group.attrs["multiscales"]
    assert multiscale["version"] == "0.4"
    assert multiscale["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert [dataset["path"] for dataset in multiscale["datasets"]] == ["0", "1"]
    scale, shift = multiscale["datasets"][1]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [1, 1, 1]}
    # the centre of the first coarse pixel lies between the first two fine ones
    assert shift == {"type": "translation", "translation": [0, 0.25, 0.25]}
    first, second = group.attrs["omero"]["channels"]
    assert first["window"] == {"min": 0, "max": 65535, "start": 0, "end": int(image[0].max())}
    assert second["window"]["end"] > 0
    assert (tmp_path / "x.ome.zarr" / "0" / "0" / "1" / "1").is_file()  # nested, as 0.4 asks for
    assert group["0"].metadata.zarr_format == 2


def test_a_pixel_size_nobody_knows_is_not_made_up(tmp_path: Path) -> None:
    image = noise(1, 20, 30)
    stream_ome_zarr(tmp_path / "x.zarr", Layout((30, 20), image.dtype, None, ("a",)), strips(image))
    assert open_slide(tmp_path / "x.zarr").mpp is None


def test_only_another_ome_zarr_is_replaced(tmp_path: Path) -> None:
    image = noise(1, 20, 30)
    layout = Layout((30, 20), image.dtype, 1.0, ("a",))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(RegdataError, match="mine exists and is no OME-Zarr"):
        stream_ome_zarr(tmp_path / "mine", layout, strips(image))
    assert (tmp_path / "mine" / "thesis.txt").exists()
    for value in (image, image // 2):
        stream_ome_zarr(tmp_path / "x.zarr", layout, strips(value))
        assert np.array_equal(everything(open_slide(tmp_path / "x.zarr"))[0], value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "x.zarr"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, problem: BaseException | type[BaseException]
) -> None:
    image = noise(1, 2 * STRIP, 30)
    layout = Layout((30, 2 * STRIP), image.dtype, 1.0, ("a",))
    stream_ome_zarr(tmp_path / "x.zarr", layout, strips(image))

    def failing() -> Iterator[NDArray[Any]]:
        yield image[0, :STRIP] // 2
        raise problem

    expected = RegdataError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space" if isinstance(problem, OSError) else None):
        stream_ome_zarr(tmp_path / "x.zarr", layout, failing())
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
    assert np.array_equal(everything(open_slide(tmp_path / "x.zarr"))[0], image)
