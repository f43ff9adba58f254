from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from slide_files import everything, message, noise

from regdata.slides.open import open_slide
from regdata.slides.write_tiff import half


def write_zarr(path: Path, levels: list[NDArray[Any]], axes: str, **more: Any) -> None:
    """OME-Zarr metadata as the specification has them, 0.4 by default."""
    version = more.get("version", "0.4")
    unit, scale = more.get("unit", "micrometer"), more.get("scale", 0.5)
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for k, level in enumerate(levels):
        chunks = tuple(min(64, n) for n in level.shape)
        array = group.create_array(str(k), shape=level.shape, dtype=level.dtype, chunks=chunks)
        array[...] = level
        scales = [scale * 2**k if a in "xy" else 1.0 for a in axes]
        transform = {"type": "scale", "scale": scales}
        datasets.append({"path": str(k), "coordinateTransformations": [transform]})
    kinds = {"c": "channel", "t": "time"}
    multiscale: dict[str, Any] = {
        "version": version,
        "axes": [
            {"name": a, "type": kinds.get(a, "space")} | ({"unit": unit} if a in "zyx" else {})
            for a in axes
        ],
        "datasets": datasets,
    }
    whole = more.get("whole")
    if whole:
        outer = {"type": "scale", "scale": [whole if a in "xy" else 1.0 for a in axes]}
        multiscale["coordinateTransformations"] = [outer]
    metadata: dict[str, Any] = {"multiscales": [multiscale]}
    if "labels" in more:
        metadata["omero"] = {"channels": [{"label": name} for name in more["labels"]]}
    group.attrs.update(metadata if version == "0.4" else {"ome": {"version": version} | metadata})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "tczyx", "zcyx"])
def test_ome_zarr(tmp_path: Path, version: str, axes: str) -> None:
    image = noise(2, 140, 201)
    levels = [image, half(image, rgb=False)]
    stored = [
        level.reshape([1 if a in "tz" else level.shape["cyx".index(a)] for a in axes])
        for level in levels
    ]
    write_zarr(tmp_path / "x.zarr", stored, axes, version=version, labels=["DAPI", "CD3"])
    slide = open_slide(tmp_path / "x.zarr")
    assert slide.channels == ("DAPI", "CD3")
    assert slide.mpp == pytest.approx(0.5)
    assert slide.sizes == ((201, 140), (101, 70))
    for found, level in zip(everything(slide), levels, strict=True):
        assert np.array_equal(found, level)
    assert np.array_equal(slide.read((60, 59), (70, 41), channels=(1,)), image[1:, 59:100, 60:130])


@pytest.mark.parametrize(
    ("more", "mpp"),
    [
        ({"unit": "nanometer", "scale": 250.0}, 0.25),
        ({"scale": 0.5, "whole": 0.5}, 0.25),
        ({"unit": ""}, None),
        ({"scale": 1000.0}, None),
    ],
)
def test_pixel_size_of_ome_zarr(tmp_path: Path, more: dict[str, Any], mpp: float | None) -> None:
    write_zarr(tmp_path / "x.zarr", [noise(20, 30)], "yx", **more)
    slide = open_slide(tmp_path / "x.zarr")
    assert slide.mpp == (mpp and pytest.approx(mpp))
    assert slide.channels == ("channel 0",)


def test_colours_in_ome_zarr(tmp_path: Path) -> None:
    write_zarr(tmp_path / "x.zarr", [noise(3, 20, 30, dtype="uint8")], "cyx")
    assert open_slide(tmp_path / "x.zarr").is_rgb
    labels = ["DAPI", "CD3", "CD8"]
    write_zarr(tmp_path / "y.zarr", [noise(3, 20, 30, dtype="uint8")], "cyx", labels=labels)
    assert open_slide(tmp_path / "y.zarr").channels == tuple(labels)


def test_a_converted_collection_holds_its_image_in_folder_0(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    image = noise(2, 20, 30)
    write_zarr(tmp_path / "x.zarr" / "0", [image], "cyx")
    assert np.array_equal(everything(open_slide(tmp_path / "x.zarr"))[0], image)


def test_other_zarr_is_refused(tmp_path: Path) -> None:
    write_zarr(tmp_path / "turned.zarr", [noise(20, 30)], "xy")
    assert "has axes xy" in message(tmp_path / "turned.zarr")
    write_zarr(tmp_path / "stack.zarr", [noise(3, 20, 30)], "zyx")
    assert "z-stack or time series (z 3)" in message(tmp_path / "stack.zarr")
    zarr.open_group(tmp_path / "table.zarr", mode="w").create_group("cells")
    assert "without an OME image (it holds cells)" in message(tmp_path / "table.zarr")
    zarr.create_array(tmp_path / "bare.zarr", shape=(4, 4), dtype="u1")
    assert "bare Zarr array" in message(tmp_path / "bare.zarr")
    write_zarr(tmp_path / "empty.zarr", [np.zeros((2, 0, 30), np.uint8)], "cyx")
    assert "has no pixels" in message(tmp_path / "empty.zarr")
    write_zarr(tmp_path / "broken.zarr", [noise(20, 30)], "yx")
    (tmp_path / "broken.zarr" / "0" / "0.0").write_bytes(b"rubbish")
    assert "damaged" in message(tmp_path / "broken.zarr")
    (tmp_path / "broken.zarr" / ".zattrs").write_text("{")
    assert "damaged" in message(tmp_path / "broken.zarr")
