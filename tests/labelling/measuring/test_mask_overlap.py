import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour, cells_of, ragged, random_contours

from regdata.labelling.measuring import measured as measure
from regdata.labelling.measuring.footprint import owners, polygons, rings
from regdata.labelling.measuring.mask_overlap import mask_overlaps, transfer

SIZE = (230, 170)


def golden(name: str) -> tuple[NDArray[np.uint8], Contour, NDArray[np.int64], dict[str, Any]]:
    if "REGDATA_GOLDEN" not in os.environ:
        pytest.skip("REGDATA_GOLDEN names no folder of golden files")
    path = Path(os.environ["REGDATA_GOLDEN"]) / "metrics" / name
    with np.load(path.with_suffix(".npz")) as stored:
        mask, contours = stored["mask"], stored["contour_xy"].astype(np.int32)
        offsets = np.concatenate([[0], np.cumsum(stored["contour_len"])])
    return mask, contours, offsets, json.loads(path.with_suffix(".json").read_text())["expected"]


@pytest.mark.parametrize("name", ["t01_transfer_random", "t02_transfer_exact"])
@pytest.mark.parametrize("form", ["0/1", "0/255", "boolean"])
def test_labels_of_the_published_code(name: str, form: str) -> None:
    mask, contours, offsets, expected = golden(name)
    given = {"0/1": mask, "0/255": np.where(mask > 0, 255, 0).astype(np.uint8)}.get(form, mask > 0)
    for cut_off, key in ((0.15, "labels_0_15"), (0.2, "labels_0_20")):
        if key in expected:
            positive, share = transfer(contours, offsets, given, cut_off, legacy=True)
            assert positive.astype(int).tolist() == expected[key]
    if "overlap_fraction" in expected:
        assert share.tolist() == expected["overlap_fraction"]


def test_at_the_cut_off_itself_only_the_published_rule_is_positive() -> None:
    mask, contours, offsets, _ = golden("t02_transfer_exact")
    legacy, share = transfer(contours, offsets, mask, legacy=True)
    ours, _ = transfer(contours, offsets, mask)
    assert np.flatnonzero(legacy != ours).tolist() == np.flatnonzero(share == 0.15).tolist() == [0]


@pytest.mark.parametrize("area", [1, 7, 20, 33, 40, 100, 120])
def test_a_share_is_compared_as_counts(area: int) -> None:
    """What a float makes of 0.15 or 0.3 decides nothing."""
    line = np.array([[0, 0], [area - 1, 0]], np.int32)
    for hundredths in (5, 15, 20, 30, 70):
        for hits in range(area + 1):
            mask = np.zeros((3, 140), bool)
            mask[0, :hits] = True
            for legacy in (False, True):
                positive, _ = transfer(line, np.array([0, 2]), mask, hundredths / 100, legacy)
                beyond = 100 * hits - hundredths * area
                assert positive[0] == (beyond >= 0 if legacy else beyond > 0)


def test_nuclei_off_the_tile_are_never_positive() -> None:
    off = np.array([[-20, -20], [-15, -20], [-15, -15]], np.int32)
    for legacy in (False, True):
        positive, share = transfer(off, np.array([0, 3]), np.ones((9, 9)), 0.0, legacy)
        assert positive.tolist() == [False]
        assert share.tolist() == [0]


def scene(seed: int, step: float) -> tuple[list[Contour], NDArray[np.bool_], Any]:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=SIZE[::-1]), (0, 0), 4)
    mask = np.pad(noise > 0, 60)

    def stained(corner: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
        x, y = (round(side / step) + 60 for side in corner)
        return mask[y : y + size[1], x : x + size[0]]

    return random_contours(rng, 130, SIZE, beyond=2), mask, stained


@pytest.mark.parametrize("step", [1.0, 2.5])
@pytest.mark.parametrize("block", [1024, 37])
def test_the_share_of_each_nucleus(
    block: int, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_BLOCK", block)
    contours, mask, stained = scene(0, step)
    found = mask_overlaps(cells_of(contours, step), stained, step)
    for share, contour in zip(found, contours, strict=True):
        image = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(image, [contour + 60], 1)
        assert share == pytest.approx(mask[image > 0].mean(), abs=1e-6)


@pytest.mark.parametrize("block", [1024, 37])
def test_the_share_of_each_ring(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BLOCK", block)
    contours, mask, stained = scene(1, 1.0)
    size = (mask.shape[1], mask.shape[0])
    nuclei = polygons(*ragged([contour + 60 for contour in contours]), size)
    around = rings(owners(nuclei, size), 7.5, len(contours))
    told: list[float] = []
    found = mask_overlaps(cells_of(contours), stained, 1.0, 7.5, told.append)
    np.testing.assert_allclose(found, around.share(mask), atol=1e-6)
    assert told[-1] == 1


def test_no_nuclei() -> None:
    _, _, stained = scene(0, 1.0)
    assert mask_overlaps(cells_of([]), stained, 1.0).shape == (0,)
