from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import Contour, cells_of, disc, random_contours, slide_of, white_he
from scipy.spatial import cKDTree

from regdata.labelling.measuring import measured as module
from regdata.labelling.measuring.measured import Measured, Signal, measure, regions
from regdata.slides.slide import Slide

MPP = 0.25
SIZE = (260, 200)
Plane = NDArray[np.float32]


def light(seed: int = 0) -> Plane:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=SIZE[::-1]).astype(np.float32), (0, 0), 3)
    return np.asarray(100 + 400 * noise / noise.std() * 0.2, np.float32)


def measured(
    contours: list[Contour], plane: Plane, full: Plane | None = None, error: float = 0.3
) -> Measured:
    signal = Signal(slide_of(plane, MPP), None if full is None else slide_of(full, MPP))
    return measure(
        cells_of(contours),
        white_he(SIZE, MPP),
        {"CD3": signal, "DAPI": replace(signal, curves=False)},
        1.0,
        np.full(len(contours), error),
    )


def filled(contour: Contour) -> NDArray[np.bool_]:
    pad = 30
    image = np.zeros((SIZE[1] + 2 * pad, SIZE[0] + 2 * pad), np.uint8)
    cv2.fillPoly(image, [contour + pad], 1)
    return image > 0


def test_nuclei_are_measured_as_on_a_full_image() -> None:
    contours = random_contours(np.random.default_rng(0), 60, SIZE, beyond=3)
    plane = light()
    found = measured(contours, plane)
    padded = np.pad(plane, 30)  # dark beyond the slide
    shares = found.share("nucleus_CD3", np.full(len(contours), 100.0))
    assert ((shares > 0) & (shares < 1)).sum() > 20
    for i, contour in enumerate(contours):
        own = np.sort(padded[filled(contour)])[::-1]
        assert found.columns["mean_CD3"][i] == pytest.approx(own.mean(), rel=1e-4)
        assert found.columns["median_CD3"][i] == own[len(own) // 2]
        assert found.columns["p90_CD3"][i] == own[len(own) // 10]
        assert found.curves["nucleus_CD3"][i, 0] == own[0]
        assert shares[i] == np.float32((own > 100).sum() / len(own))
    assert set(found.curves) == set(found.pixels) == {"nucleus_CD3", "ring_CD3"}
    assert "lent_DAPI" not in found.columns
    assert np.array_equal(found.columns["mean_DAPI"], found.columns["mean_CD3"])


def test_the_ring_is_two_micrometres_around_a_nucleus() -> None:
    plane = np.zeros(SIZE[::-1], np.float32)
    y, x = np.indices(plane.shape)
    away = np.hypot(x - 100, y - 90)
    plane[away < 10.5] = 1000
    plane[(away > 10.5) & (away < 17)] = 50
    plane[away > 20] = 9999
    found = measured([disc(100, 90, 10)], plane).columns
    assert found["mean_CD3"] == pytest.approx(1000, rel=0.02)
    assert found["ring_median_CD3"] == 50
    assert found["ring_p90_CD3"] <= 50


def touching(seed: int, count: int = 220) -> list[Contour]:
    """Nuclei that overlap, some of them cut by the edge of the slide."""
    return random_contours(np.random.default_rng(seed), count, SIZE, radius=8, beyond=2)


@pytest.mark.parametrize("error", [0.0, 1.5])
@pytest.mark.parametrize("block", [41, 64])
def test_blocks_do_not_matter(block: int, error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    contours, plane = touching(1), light(1)
    whole = measured(contours, plane, error=error)
    monkeypatch.setattr(module, "_BLOCK", block)
    parts = measured(contours, plane, error=error)
    for name, column in whole.columns.items():
        np.testing.assert_allclose(parts.columns[name], column, atol=2e-3, err_msg=name)
    for name, curve in whole.curves.items():
        assert np.array_equal(parts.curves[name], curve, equal_nan=True), name
        assert len(parts.pixels[name].blocks) > len(whole.pixels[name].blocks)
        for cut in (50.0, 101.3, 170.0):
            share = whole.pixels[name].share(cut)
            assert np.array_equal(parts.pixels[name].share(cut), share), name
            assert len(np.unique(share)) > 20
    assert (whole.columns["lent_CD3"] > 0).sum() > 20


def test_every_nucleus_is_in_one_block_and_all_that_are_near_come_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 50)
    margin, cells = 17, cells_of(touching(2), 2.0)
    seen = list(regions(cells, 2.0, margin))
    assert len(seen) > 12
    assert np.array_equal(np.sort(np.concatenate([r.index for r in seen])), np.arange(len(cells)))
    points = [cells.contour(i) for i in range(len(cells))]
    for region in seen:
        low = np.array(region.corner)
        high = low + np.array(region.size) * 2
        for i in region.index:
            assert (points[i] - low >= 2 * margin).all()
            assert (high - points[i] >= 2 * margin).all()
        inside = {
            i
            for i, p in enumerate(points)
            if ((p.max(0) > low) & (p.min(0) < high)).all() and i not in region.index
        }
        assert inside == set(region.neighbours.tolist())
        assert not low % 2 @ np.ones(2)  # whole steps from the slide's corner


def test_a_nucleus_among_others_has_no_ring() -> None:
    inner = disc(100, 90, 6)
    around = [disc(100 + 13 * np.cos(a), 90 + 13 * np.sin(a), 9) for a in np.arange(0, 6.28, 0.5)]
    found = measured([inner, *around], light())
    ring = found.columns["ring_mean_CD3"]
    assert np.isnan(ring[0])
    assert np.isnan(found.curves["ring_CD3"][0]).all()
    assert np.isfinite(ring[1:]).all()
    assert found.columns["saturated_CD3"][0] == 0
    assert np.isfinite(found.columns["mean_CD3"]).all()


def test_saturation_counts_in_nucleus_and_ring() -> None:
    contours = [disc(60, 90, 10), disc(160, 90, 10)]
    full = np.zeros(SIZE[::-1], np.float32)
    full[:, :60] = 1
    found = measured(contours, light(), full).columns["saturated_CD3"]
    assert found[0] == pytest.approx(0.5, abs=0.04)
    assert found[1] == 0
    assert measured(contours, light()).columns["saturated_CD3"].tolist() == [0, 0]


def test_red_blood_cells_are_told_by_their_colour() -> None:
    from regdata.labelling.measuring.red_cells import red_blood_cells

    glass = np.full((SIZE[1], SIZE[0], 3), 240, np.uint8)
    glass[60:120, 30:90] = (205, 60, 70)
    assert red_blood_cells(glass, MPP)[70:110, 40:80].all()
    he: Slide = slide_of(glass.transpose(2, 0, 1).copy(), MPP, "red", "green", "blue")
    cells = cells_of([disc(60, 90, 10), disc(160, 90, 10)])
    found = measure(cells, he, {}, 1.0, np.zeros(2))
    assert found.columns["red_cells"].tolist() == pytest.approx([1, 0], abs=0.02)


def test_nuclei_at_a_coarser_step_than_the_slide() -> None:
    plane = cv2.resize(light(), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours = random_contours(np.random.default_rng(3), 20, SIZE)
    he = white_he((2 * SIZE[0], 2 * SIZE[1]), MPP / 2)
    signals = {"CD3": Signal(slide_of(plane, MPP / 2))}
    fine = measure(cells_of(contours, 2.0), he, signals, 2.0, np.full(20, 0.3))
    coarse = measured(contours, light())
    for name in ("mean_CD3", "ring_mean_CD3", "lent_CD3"):
        np.testing.assert_allclose(fine.columns[name], coarse.columns[name], rtol=1e-4)


def test_without_nuclei_nothing_is_read() -> None:
    found = measure(
        cells_of([]), white_he(SIZE), {"CD3": Signal(slide_of(light()))}, 1, np.zeros(0)
    )
    assert found.columns["mean_CD3"].shape == (0,)
    assert found.curves["ring_CD3"].shape == (0, 21)
    assert found.share("ring_CD3", np.zeros(0)).shape == (0,)


def test_progress_reaches_the_end() -> None:
    told: list[float] = []
    cells = cells_of(touching(0, 30))
    signals = {"CD3": Signal(slide_of(light()))}
    measure(cells, white_he(SIZE), signals, 1.0, np.zeros(30), progress=told.append)
    assert told[-1] == 1
    assert told == sorted(told)


def test_a_ring_ends_half_way_to_a_neighbour_of_another_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pixel of the ring may be nearer to a nucleus that itself lies beyond the ring."""
    left, right = disc(92, 90, 8), disc(118, 90, 8)  # 10 px apart, rings of 8 px
    monkeypatch.setattr(module, "_BLOCK", 105)
    plane = np.zeros(SIZE[::-1], np.float32)
    y, x = np.indices(plane.shape)
    tree = cKDTree(np.argwhere(filled(right)[30:-30, 30:-30]))
    near_right = tree.query(np.stack([y, x], -1).reshape(-1, 2))[0].reshape(plane.shape) < 4.9
    plane[near_right] = 1000
    assert measured([left, right], plane).curves["ring_CD3"][0, 0] == 0
    assert measured([left], plane).curves["ring_CD3"][0, 0] == 1000
