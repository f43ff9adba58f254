import os
import zlib
from dataclasses import replace
from pathlib import Path

import hovernet
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cellvit.maps.maps import Maps, PostprocessSettings
from regdata.cellvit.maps.postprocess import find_cells, separate
from regdata.errors import RegdataError
from regdata.train.segmentation.targets import hv_map

PUBLISHED = {0.25: (10, 21), 0.5: (3, 11)}


def golden(name: str) -> dict[str, NDArray[np.generic]]:
    if "REGDATA_GOLDEN" not in os.environ:
        pytest.skip("REGDATA_GOLDEN names no folder of golden files")
    with np.load(Path(os.environ["REGDATA_GOLDEN"]) / name) as file:
        return dict(file)


def boxes(instances: NDArray[np.int32]) -> list[list[int]]:
    places = [np.nonzero(instances == i) for i in range(1, instances.max() + 1)]
    return [[r.min(), c.min(), r.max() + 1, c.max() + 1] for r, c in places]


def test_golden_of_the_reference() -> None:
    file = golden("postprocessing_256.npz")
    tokens = np.zeros((4, 16, 16), np.float32)
    maps = Maps(file["nuclei_binary_map"][1], file["hv_map"], file["nuclei_type_map"], tokens, 16)
    instances, cells = find_cells(maps, 0.25, PostprocessSettings.published(0.25))
    assert np.array_equal(instances, file["inst_map"])
    assert np.array_equal(cells.kind, file["type"])
    assert cells.kind_probability == pytest.approx(file["type_prob"], abs=1e-6)
    assert cells.xy - 0.5 == pytest.approx(file["centroid_xy"], abs=1e-9)
    assert np.array_equal(boxes(instances), file["bbox_rc"])
    assert np.array_equal(np.diff(cells.offsets), file["contour_len"])
    assert np.array_equal(cells.vertices - 0.5, file["contour_xy"])


def test_golden_of_histoplus() -> None:
    file = golden("metrics/h01_histoplus_post_40x.npz")
    nucleus, hv = file["np_map"].astype(np.float32), file["hv_map"].astype(np.float32)
    kinds = (np.arange(15)[:, None, None] == file["tp_map"]).astype(np.float32)
    maps = Maps(nucleus, hv, kinds, np.zeros((1, 16, 16), np.float32), 14)
    instances, _ = find_cells(maps, 0.25, PostprocessSettings.published(0.25))
    assert np.array_equal(instances, file["expected_inst"])


@pytest.mark.parametrize("mpp", PUBLISHED)
@pytest.mark.parametrize("seed", range(6))
def test_every_step_is_as_published(seed: int, mpp: float) -> None:
    maps = hovernet.scene(seed)
    settings = PostprocessSettings.published(mpp)
    expected = hovernet.instances_of(maps.nucleus, maps.hv, *PUBLISHED[mpp])
    nuclei = hovernet.nuclei_of(expected, maps)
    assert np.array_equal(separate(maps.nucleus, maps.hv, settings), expected)
    instances, cells = find_cells(maps, mpp, settings)
    assert boxes(instances) == [list(nucleus.box) for nucleus in nuclei]
    assert cells.kind.tolist() == [nucleus.kind for nucleus in nuclei]
    for i, nucleus in enumerate(nuclei):
        mask = instances == i + 1
        assert len(np.unique(expected[mask])) == 1
        assert cells.area_um2[i] == pytest.approx(mask.sum() * mpp**2)
        assert cells.xy[i] - 0.5 == pytest.approx(nucleus.centroid, abs=1e-9)
        assert np.array_equal(cells.contour(i) - 0.5, nucleus.contour)
        assert cells.kind_probability[i] == pytest.approx(nucleus.kind_probability, abs=1e-6)
        assert cells.tokens[i] == pytest.approx(nucleus.token, abs=2e-3)


def test_the_scenes_show_what_they_are_for() -> None:
    scenes = [hovernet.scene(seed) for seed in range(6)]
    found = [hovernet.instances_of(maps.nucleus, maps.hv, 10, 21) for maps in scenes]
    kept = [hovernet.nuclei_of(*pair) for pair in zip(found, scenes, strict=True)]
    assert sum(len(nuclei) for nuclei in kept) > 150
    # nuclei of no class, and of a class that has fewer votes than background
    assert sum(map(np.max, found)) > sum(map(len, kept))
    assert any(nucleus.kind_probability < 0.3 for nuclei in kept for nucleus in nuclei)


def arithmetic_scene() -> Maps:
    """A scene that needs no generator of random numbers: all of it is whole numbers."""
    side = 128
    parts = [
        (9 + 20 * c + 5 * r % 7, 8 + 19 * r + 3 * c % 5, 13 - (r + 2 * c) % 5, 11 - (2 * r + c) % 4)
        for r in range(6)
        for c in range(6)
    ]
    instances = hovernet.ellipses((side, side), parts)
    rows, columns = np.indices((side, side))
    grain = ((rows * 7919 + columns * 104729 + rows * columns * 31) % 1009).astype(np.float32)
    hv = hv_map(instances) + (np.stack([grain, grain.T]) / 1009 - 0.5).astype(np.float32) / 8
    kind = np.where(grain < 900, instances % 4, grain % 5)
    kinds = (np.arange(5)[:, None, None] == kind).astype(np.float32)
    nucleus = np.where(instances > 0, 0.75 + grain / 8192, 0.25).astype(np.float32)
    tokens = (np.arange(3 * 64, dtype=np.float32) % 17).reshape(3, 8, 8)
    return Maps(nucleus, hv.astype(np.float32), kinds, tokens, 16)


@pytest.mark.parametrize(
    ("mpp", "instance_crc", "xy", "vertices"),
    [
        (0.25, 3661441076, [[9.759887, 9.087571], [74.479290, 31.473373]], 957),
        (0.5, 3046361577, [[9.762712, 9.081921], [74.508850, 31.479351]], 951),
    ],
)
def test_recorded_numbers(
    mpp: float, instance_crc: int, xy: list[list[float]], vertices: int
) -> None:
    settings = PostprocessSettings.published(mpp)
    instances, cells = find_cells(arithmetic_scene(), mpp, settings)
    assert zlib.crc32(instances.astype("<i4").tobytes()) == instance_crc
    assert np.bincount(cells.kind).tolist() == [0, 12, 12, 12]
    assert cells.xy[[0, 10]] == pytest.approx(np.array(xy), abs=1e-6)
    assert len(cells.vertices) == vertices
    assert cells.tokens[[0, 10]].tolist() == [[4.5, 9, 5], [8, 8.25, 8.5]]
    # most pixels of this one vote for background
    assert cells.kind_probability[20] == pytest.approx(0.020492, abs=1e-6)


def test_sizes_of_both_resolutions_are_applied() -> None:
    fine, coarse = (PostprocessSettings.published(mpp) for mpp in (0.25, 0.5))
    assert (fine.min_marker, fine.sobel) == (10, 21)
    assert (coarse.min_marker, coarse.sobel) == (3, 11)
    assert PostprocessSettings.published(0.4) == coarse
    assert fine.min_area == 0
    maps = hovernet.scene(0)
    counts = [len(find_cells(maps, 0.25, settings)[1]) for settings in (fine, coarse)]
    assert counts[0] != counts[1]


@pytest.mark.parametrize("side", [1, 20, 33])
def test_a_kernel_without_a_centre_is_refused(side: int) -> None:
    with pytest.raises(RegdataError, match="odd side of 3 to 31 px"):
        PostprocessSettings(sobel=side)


@pytest.mark.parametrize("settings", [PostprocessSettings(), PostprocessSettings.published(0.25)])
@pytest.mark.parametrize("value", [0.0, 0.4, 0.5, 0.9])
def test_no_nucleus(value: float, settings: PostprocessSettings) -> None:
    maps = hovernet.maps_of(np.zeros((64, 64), np.int32))
    maps = replace(maps, nucleus=np.full((64, 64), value, np.float32))
    instances, cells = find_cells(maps, 0.25, settings)
    assert instances.shape == (64, 64)
    assert instances.dtype == np.int32
    assert instances.max() == len(cells) == 0
    assert cells.tokens.shape == (0, 1)


def test_maps_of_any_memory_layout_and_side_give_the_same() -> None:
    maps = hovernet.scene(1)
    settings = PostprocessSettings.published(0.25)
    last = Maps(
        np.asfortranarray(maps.nucleus),
        np.ascontiguousarray(maps.hv.transpose(1, 2, 0)).transpose(2, 0, 1),
        np.ascontiguousarray(maps.kinds.transpose(1, 2, 0)).transpose(2, 0, 1),
        np.ascontiguousarray(maps.tokens.transpose(1, 2, 0)).transpose(2, 0, 1),
        16.0,
    )
    (a, first), (b, second) = (find_cells(m, 0.25, settings) for m in (maps, last))
    assert np.array_equal(a, b)
    assert np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(first.kind_probability, second.kind_probability)
    for shape in ((1, 1), (3, 40), (9, 9)):
        tiny = Maps(*(np.ones((*n, *shape), np.float32) for n in ((), (2,), (3,), (4,))), patch=1)
        assert len(find_cells(tiny, 0.25, settings)[1]) == 0
