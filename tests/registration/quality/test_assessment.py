import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regdata.cells.geojson import read_features
from regdata.errors import RegdataError
from regdata.registration.quality.assessment import tile_quality
from regdata.registration.quality.correction import second_look
from regdata.registration.quality.table import STATUSES, TileQuality, write_quality
from regdata.registration.quality.verdicts import verdict
from regdata.slides.slide import Slide
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform


def moved(x, y):
    """A step of (x, y) µm."""
    return Transform.affine(np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]))


def wavy(strength, side_um=320.0, length_um=300.0):
    """A smooth wrong step, up to `strength` µm."""
    at = np.arange(-2, side_um / 16 + 3) * 16
    x, y = np.meshgrid(at, at)
    u = np.stack([np.sin(2 * np.pi * y / length_um), np.sin(2 * np.pi * x / length_um + 1)])
    return Displacement.through(strength * u, np.array([at[0], at[0]]), 16.0)


@pytest.fixture(scope="module")
def large(section, pair_of, linear):
    """A pair of 320 µm, 5 x 5 tiles, and its true map."""
    pair = pair_of(type(section).random(3, 320.0), linear(20, mirror=True), (0.5, 0.65))
    return pair.he, pair.if_, Transform.affine(pair.he_to_if)


@pytest.fixture(scope="module")
def good(large):
    he, if_, true = large
    return tile_quality(he, if_, 0, true)


def seen(quality):
    return quality.status != "empty"


def test_the_true_map_is_accepted_nearly_everywhere(good):
    assert seen(good).sum() >= 18
    assert (good.status[seen(good)] == "accept").mean() > 0.9
    assert np.median(good.error_um[seen(good)]) < 0.4
    assert np.median(good.null_z[seen(good)]) > 6
    assert np.isnan(good.error_um[~seen(good)]).all()
    assert verdict(good).status == "accept"
    assert verdict(good).reasons == ()


@pytest.mark.parametrize("step", [(1.5, -2.0), (-4.0, 0.5)])
def test_a_step_aside_is_seen_with_its_sign_and_length(large, step):
    he, if_, true = large
    quality = tile_quality(he, if_, 0, moved(*step).then(true))
    assert np.median(quality.shift_um[seen(quality)], 0) == pytest.approx(
        np.negative(step), abs=0.2
    )
    error = np.median(quality.error_um[seen(quality)])
    assert error == pytest.approx(np.hypot(*step), rel=0.2)
    assert verdict(quality).status == "refuse"
    assert not (quality.status == "accept").any()


def test_claimed_errors_follow_true_ones_of_a_bent_map(large):
    he, if_, true = large
    wrong = wavy(3.0)
    quality = tile_quality(he, if_, 0, Transform.displaced(wrong).then(true))
    where = seen(quality)
    error = np.linalg.norm(wrong.displacement(quality.centre_um), axis=1)
    assert np.corrcoef(error[where], quality.error_um[where])[0, 1] > 0.6
    claimed_good = where & (quality.error_um < 1)
    assert (error[claimed_good] < 2).all()


@pytest.mark.parametrize("kind", ["constant", "noise", "elsewhere"])
def test_a_slide_without_the_same_nuclei_is_never_called_good(large, slide, kind):
    he, if_, true = large
    if kind == "constant":
        if_ = slide(np.full((2, *if_.size[::-1]), 100, np.uint16), if_.mpp, "if.tif")
    elif kind == "noise":
        noise = np.random.default_rng(0).poisson(300, (2, *if_.size[::-1])).astype(np.uint16)
        if_ = slide(noise, if_.mpp, "if.tif")
    else:
        true = moved(45.0, 30.0).then(true)
    quality = tile_quality(he, if_, 0, true)
    assert (quality.status == "accept").sum() <= (1 if kind == "elsewhere" else 0)
    assert (quality.status[seen(quality)] == "reject").mean() > 0.7
    assert verdict(quality).status == "refuse"


def test_tissue_the_if_slide_does_not_show_is_rejected(section, pair_of, linear):
    pair = pair_of(section, linear(0), (0.5, 0.65), 0.5)  # half of the field, in the middle
    quality = tile_quality(pair.he, pair.if_, 0, Transform.affine(pair.he_to_if))
    mapped = Transform.affine(pair.he_to_if).points(quality.centre_um)
    size = np.array(pair.if_.size) * pair.if_.mpp
    far = ((mapped < -40) | (mapped > size + 40)).any(1)
    assert far.sum() >= 1
    assert np.isin(quality.status[far], ["reject", "empty"]).all()


def test_a_slide_without_tissue_has_only_empty_tiles(large, slide):
    _, if_, true = large
    glass = slide(np.full((3, 300, 300), 245, np.uint8), 0.5, "he.tif")
    quality = tile_quality(glass, if_, 0, true)
    assert set(quality.status) == {"empty"}
    assert verdict(quality).status == "refuse"
    assert "no tile" in verdict(quality).reasons[0]
    assert second_look(quality, true) is true


@pytest.mark.parametrize(
    ("size", "mpp", "tile_um", "shape"),
    [
        ((60, 50), 0.5, 64.0, (1, 1)),
        ((200, 129), 0.5, 64.0, (2, 2)),
        ((256, 128), 0.5, 32.0, (2, 4)),
    ],
)
def test_tiles_cover_slides_of_any_size(large, slide, size, mpp, tile_um, shape):
    he, if_, true = large
    crop = he.read((100, 100), size)
    quality = tile_quality(slide(crop, mpp, "he.tif"), if_, 0, moved(50, 50).then(true), tile_um)
    assert quality.shape == shape
    assert len(quality.status) == shape[0] * shape[1]
    assert quality.centre_um[0].tolist() == [tile_um / 2, tile_um / 2]
    assert quality.centre_um[-1].tolist() == [(n - 0.5) * tile_um for n in shape[::-1]]
    # with hardly any neighbour to confirm it a good tile may stay doubtful
    assert quality.status[0] in ("accept", "doubtful") or shape == (1, 1)
    assert isinstance(second_look(quality, true), Transform)


@pytest.mark.parametrize("tile_um", [4.0, 5000.0, np.nan])
def test_tiles_of_odd_size_are_refused(large, tile_um):
    with pytest.raises(RegdataError, match="16 to 1000 µm"):
        tile_quality(*large[:2], 0, large[2], tile_um)


def test_a_slide_that_is_no_picture_is_refused(large):
    with pytest.raises(RegdataError, match="H&E slide is needed"):
        tile_quality(large[1], large[1], 0, large[2])


def test_progress_goes_up_to_one(large):
    shares = []
    tile_quality(*large[:2], 0, large[2], 128.0, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def endless(he, size, asked):
    """A wide pyramid of glass with the picture `he` at its left end and once more far right."""
    picture = he.read((0, 0), he.size)
    height = he.size[1]

    def pixels(level, box, channels):
        asked.append((level, box.w * box.h))
        step = 8**level
        y, x = (np.arange(n) * step for n in (box.h, box.w))
        y, x = (y + box.y * step) % height, x + box.x * step
        there = (x < he.size[0]) | ((x >= size - he.size[0]) & (x < size))
        source = np.where(x < he.size[0], x, x - (size - he.size[0])).clip(0, he.size[0] - 1)
        values = picture[np.ix_(list(channels), y, source)]
        return np.where(there, values, he.fill).astype(picture.dtype)

    sizes = ((size, height), (size // 8, height // 8))
    return Slide(Path("wide.tif"), sizes, he.mpp, he.channels, he.dtype, pixels)


def test_memory_does_not_grow_with_the_slide_and_glass_is_not_read(large):
    he, _, _ = large
    # hematoxylin looks at itself: the green channel turned round serves as DAPI
    most, total = [], []
    for size in (3200, 12800):
        asked = []
        wide = endless(he, size, asked)
        green = he.read((0, 0), he.size)[1:2].astype(np.uint16)
        negative = replace(he, channels=("DAPI",), dtype=np.dtype(np.uint16))
        picture = 255 - green

        def dapi(level, box, channels, picture=picture):
            return picture[:, box.y : box.y + box.h, box.x : box.x + box.w]

        if_ = replace(negative, pixels=dapi)
        asked.clear()
        quality = tile_quality(wide, if_, 0, Transform.identity())
        fine = [pixels for level, pixels in asked if level == 0]
        most.append(max(fine))
        total.append(sum(fine))
        assert (quality.status[: quality.shape[1]][:4] == "accept").any()
    assert most[1] == most[0]
    assert total[1] < 1.5 * total[0]
    assert most[1] < 1000 * 500


def test_a_second_look_removes_a_known_rest(large):
    he, if_, true = large
    wrong = wavy(1.5)
    off = Transform.displaced(wrong).then(true)
    quality = tile_quality(he, if_, 0, off)
    better = second_look(quality, off)
    at = quality.centre_um[seen(quality)]

    def errors(found):
        return np.linalg.norm(found.points(at) - true.points(at), axis=1)

    assert np.median(errors(better)) < 0.5 * np.median(errors(off))
    assert np.median(tile_quality(he, if_, 0, better).error_um[seen(quality)]) < 0.6


def table(rows, columns, **values):
    """A quality of equal tiles; `values` replace columns."""
    count = rows * columns
    row, column = np.indices((rows, columns)).reshape(2, -1)
    made = TileQuality(
        centre_um=np.stack([column + 0.5, row + 0.5], 1) * 64,
        tile_um=64.0,
        tissue=np.ones(count),
        correlation=np.full(count, 0.6),
        null_z=np.full(count, 9.0),
        shift_um=np.zeros((count, 2)),
        sd_um=np.full(count, 0.2),
        confidence=np.ones(count),
        jacobian_min=np.ones(count),
        jacobian_max=np.ones(count),
        error_um=np.full(count, 0.3),
        status=np.full(count, "accept", "U8"),
    )
    return replace(made, **values)


def test_a_second_look_never_folds():
    rng = np.random.default_rng(0)
    for scale in (1.0, 10.0, 100.0):
        # neighbours in pairs of rows, so that smoothing does not take the shifts for noise
        steps = np.repeat(np.repeat(rng.normal(0, scale, (4, 4, 2)), 2, 0), 2, 1)
        corrected = second_look(table(8, 8, shift_um=steps.reshape(-1, 2)), Transform.identity())
        x, y = np.meshgrid(np.linspace(-50, 560, 150), np.linspace(-50, 560, 150))
        areas = np.linalg.det(corrected.jacobian(np.stack([x, y], 2)))
        assert areas.min() > 0.45
        assert areas.max() > 1.001  # it does something


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"shift_um": np.full((16, 2), 3.0), "confidence": np.full(16, 0.3)},
        {"shift_um": np.full((16, 2), 0.01)},
    ],
    ids=["all agree", "nothing sure", "too little"],
)
def test_there_is_no_second_step_without_a_reason(values):
    found = moved(1, 2)
    assert second_look(table(4, 4, **values), found) is found


def test_an_unsure_shift_is_not_applied():
    shifts, sure = np.full((25, 2), 2.0), np.ones(25)
    shifts[12], sure[12] = (-9, 9), 0.1
    corrected = second_look(table(5, 5, shift_um=shifts, confidence=sure), Transform.identity())
    middle = np.array([[160.0, 160.0]])
    assert corrected.points(middle) - middle == pytest.approx(2.0, abs=0.4)


def shares(accept, doubtful, reject, empty=0):
    counts = zip(STATUSES, (accept, doubtful, reject, empty), strict=True)
    return np.array([status for status, count in counts for _ in range(count)], "U8")


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({}, "accept", None),
        ({"status": shares(10, 2, 4)}, "warn", "62% of 16 tiles agree"),
        ({"status": shares(3, 2, 11)}, "refuse", "only 19% of 16 tiles agree"),
        ({"status": shares(0, 0, 0, 16)}, "refuse", "no tile"),
        ({"status": shares(2, 0, 0, 14)}, "warn", "too few"),
        ({"error_um": np.full(16, 1.4)}, "warn", "median error is 1.4 µm"),
        ({"error_um": np.full(16, 3.4)}, "refuse", "median error is 3.4 µm"),
        ({"error_um": np.r_[np.full(12, 0.3), np.full(4, 6)]}, "warn", "a tenth .* 6.0 µm"),
        ({"jacobian_min": np.r_[np.ones(15), -0.1]}, "refuse", "folds in 1 tiles"),
        ({"jacobian_min": np.r_[np.ones(15), 0.3]}, "warn", "squeezed to 0.30"),
    ],
)
def test_a_verdict_says_why(values, status, reason):
    found = verdict(table(4, 4, **values))
    assert found.status == status
    assert bool(found.reasons) == (reason is not None)
    if reason:
        assert re.search(reason, " ".join(found.reasons))


def test_a_folding_transform_is_rejected_where_it_folds(large):
    he, if_, true = large
    steps = np.zeros((2, 12, 12))
    steps[0, 5, 5], steps[0, 5, 6] = 40, -40
    folding = Displacement.through(steps, np.array([-16.0, -16.0]), 32.0)
    quality = tile_quality(he, if_, 0, Transform.displaced(folding).then(true))
    inside = seen(quality) & (quality.jacobian_min < 0)
    assert inside.any()
    assert (quality.status[inside] == "reject").all()
    assert verdict(quality).folds >= inside.sum()
    assert verdict(quality).status == "refuse"


def test_areas_are_relative_to_the_slide(large):
    he, if_, true = large
    larger = true.then(Transform.affine(np.diag([1.4, 1.4, 1.0])))  # and mirrored
    quality = tile_quality(he, if_, 0, larger, 128.0)
    assert quality.jacobian_min == pytest.approx(1)
    assert quality.jacobian_max == pytest.approx(1)


def test_tables_and_heat_maps_hold_every_tile_with_something_to_see(tmp_path):
    status = shares(2, 1, 1, 2)
    quality = table(2, 3, status=status, error_um=np.array([0.2, 0.3, 1.5, 5, np.nan, np.nan]))
    paths = write_quality(quality, tmp_path / "new", he_mpp=0.25)
    assert [path.name for path in paths] == ["quality.csv", "quality.geojson"]
    rows = quality.to_table()
    assert rows["status"].tolist() == status.tolist()
    assert rows["x_um"].tolist() == [32, 96, 160, 32, 96, 160]
    lines = paths[0].read_text().splitlines()
    assert len(lines) == 7
    assert lines[0] == ",".join(rows.columns)
    features = read_features(paths[1])
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == ["accept", "accept", "doubtful", "reject"]
    ring = np.array(features[1]["geometry"]["coordinates"][0])  # level-0 pixels
    assert ring.min(0).tolist() == [256, 0]
    assert ring.max(0).tolist() == [512, 256]
    assert features[2]["properties"]["measurements"]["error_um"] == 1.5
