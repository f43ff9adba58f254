import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.train.segmentation.crops import Elastic, Sample, look_up, random_crop, turn, warp


def sample(height: int, width: int) -> Sample:
    """Discs, dark where they are, so that the image tells where the labels should be."""
    rows, columns = np.indices((height, width))
    instances = np.zeros((height, width), np.int32)
    for i, (y, x) in enumerate(np.ndindex(height // 24 + 1, width // 24 + 1), 1):
        instances[(rows - 24 * y - 5) ** 2 + (columns - 24 * x - 7) ** 2 < 64] = i * 1000
    image = np.where(instances[..., None] > 0, 20, 230).repeat(3, -1).astype(np.uint8)
    return Sample(image, instances, (instances > 0).astype(np.uint8) * 3)


def differing(crop: Sample) -> float:
    assert ((crop.types == 3) == (crop.instances > 0)).all()
    return float(((crop.image[..., 0] < 128) != (crop.instances > 0)).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 99), st.sampled_from([0.5, 1, 2]))
def test_images_of_any_size(height: int, width: int, seed: int, zoom: float) -> None:
    crop = random_crop(sample(height, width), 64, np.random.default_rng(seed), (0.7, 1.4), zoom)
    assert crop.image.shape == (64, 64, 3)
    assert crop.instances.shape == crop.types.shape == (64, 64)
    assert (crop.instances.dtype, crop.types.dtype) == (np.int32, np.uint8)
    if min(height, width) >= 8:  # nuclei of a pixel or two are all border
        assert differing(crop) < 0.12


def test_scale_one_is_cut_exactly() -> None:
    whole = sample(90, 70)
    crop = random_crop(whole, 64, np.random.default_rng(1), (1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(whole.instances, (64, 64))
    assert (windows == crop.instances).all((2, 3)).any()
    assert differing(crop) == 0


def test_zoom_shows_as_many_micrometres() -> None:
    whole = sample(200, 200)
    rng = np.random.default_rng(0)
    area = [
        np.bincount(random_crop(whole, 96, rng, (1, 1), zoom).instances.ravel())[1:].max()
        for zoom in (1.0, 2.0)
    ]
    assert area[1] / area[0] == pytest.approx(4, rel=0.05)


def test_mirrored_nuclei_are_nuclei_of_their_own() -> None:
    one = np.array([[4, 0, 0, 9]], np.int32)
    row = Sample(np.zeros((1, 4, 3), np.uint8), one, (one > 0).astype(np.uint8))
    places = np.arange(-2, 6)[None]
    instances, types = look_up(row, np.zeros((1, 1), np.intp), places)
    assert types.tolist() == [[0, 1, 1, 0, 0, 1, 1, 0]]
    found = instances[0]
    assert len(set(found[[1, 2, 5, 6]])) == 4
    assert found[[0, 3, 4, 7]].tolist() == [0] * 4
    assert look_up(row, np.zeros((1, 1), np.intp), places[:, 2:6])[0].tolist() == one.tolist()


def test_turns_by_hand() -> None:
    ids = np.array([[1, 2], [3, 4]], np.int32)
    square = Sample(np.stack([ids] * 3, -1).astype(np.uint8), ids, ids.astype(np.uint8))
    for arguments, expected in (
        ((0, False, False), [[1, 2], [3, 4]]),
        ((1, False, False), [[2, 4], [1, 3]]),
        ((0, True, False), [[2, 1], [4, 3]]),
        ((0, False, True), [[3, 4], [1, 2]]),
        ((1, True, False), [[4, 2], [3, 1]]),
    ):
        turned = turn(square, *arguments)
        assert turned.instances.tolist() == turned.types.tolist() == expected
        assert turned.image[..., 1].tolist() == expected


def test_a_warp_pulls_image_and_labels_alike() -> None:
    whole = sample(96, 96)
    rng = np.random.default_rng(2)
    moved = []
    for elastic in (Elastic(3, 25, 0), Elastic(0, 25, 12)):
        field = elastic.field(96, 96, rng)
        warped = warp(whole, field)
        moved.append(np.abs(field - Elastic(0, 25, 0).field(96, 96, rng)).mean())
        assert differing(warped) < 0.06
        assert (warped.instances > 0).any()
    assert all(1 < shift < 10 for shift in moved)


def test_warp_by_hand() -> None:
    whole = sample(40, 50)
    y, x = np.indices((40, 50)).astype(np.float32)
    shifted = warp(whole, np.stack([x + 3, y - 2]))
    assert np.array_equal(shifted.image[2:, :-3], whole.image[:-2, 3:])
    inside = shifted.instances[2:, :-3], whole.instances[:-2, 3:]
    assert np.array_equal(inside[0] > 0, inside[1] > 0)
    pairs = {(a, b) for a, b in zip(*(i.ravel().tolist() for i in inside), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert np.array_equal(warp(whole, np.stack([x, y])).instances, whole.instances)
