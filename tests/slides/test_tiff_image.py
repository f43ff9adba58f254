import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr
from slide_files import noise

from regdata.slides.open import open_slide
from regdata.slides.slide import Slide
from regdata.slides.tiff_image import SegmentCache
from regdata.slides.write_tiff import write_ome_tiff


def test_threads_read_the_same_pixels(tmp_path: Path) -> None:
    image = noise(2, 700, 900)
    write_ome_tiff(tmp_path / "x.tif", image, 0.5, ["a", "b"])
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    group.create_array("0", data=image, chunks=(1, 128, 128))
    multiscale = {"axes": [{"name": a} for a in "cyx"], "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    corners = [(x, y) for x in range(0, 800, 90) for y in range(0, 600, 110)]
    start = threading.Barrier(4)

    def read_all(slide: Slide) -> bool:
        start.wait()
        return all(
            np.array_equal(slide.read((x, y), (95, 99)), image[:, y : y + 99, x : x + 95])
            for x, y in corners
        )

    for name in ("x.tif", "x.zarr"):
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read_all, [open_slide(tmp_path / name)] * 4))


def test_only_the_tiles_of_a_region_are_decoded(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "x.tif", noise(3, 1200, 1300), 0.5, ["a", "b", "c"], pyramid=False)
    slide = open_slide(tmp_path / "x.tif")
    slide.read((300, 300), (100, 100), channels=(1,))
    held = slide.pixels.cache._held
    assert [segment.shape for segment in held.values()] == [(1, 256, 256, 1)]
    slide.read((300, 300), (300, 100), channels=(1, 2))
    assert len(held) == 4


def test_decoded_tiles_are_kept_up_to_a_limit() -> None:
    cache = SegmentCache(limit=100)
    paths = [(Path("x"), k) for k in range(9)]
    for path in paths[:4]:
        cache.put(path, np.zeros(30, np.uint8))
    assert [cache.get(path) is not None for path in paths[:4]] == [False, True, True, True]
    cache.get(paths[1])
    cache.put(paths[5], np.zeros(30, np.uint8))
    assert [cache.get(path) is not None for path in paths[:4]] == [False, True, False, True]
    cache.put(paths[6], np.zeros(60, np.uint8))  # alone over half: not worth keeping
    assert cache.get(paths[6]) is None
    assert cache.get(paths[3]) is not None
