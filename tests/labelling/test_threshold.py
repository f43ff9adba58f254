from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.labelling.background import Background
from regdata.labelling.mask import Mask, load_mask, save_mask
from regdata.labelling.threshold import find_threshold, tissue_at
from regdata.slide import Box, Slide


def marker_of(image: NDArray[np.float32]) -> Slide:
    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.float32]:
        return image[None, box.y : box.y + box.h, box.x : box.x + box.w]

    size = (image.shape[1], image.shape[0])
    return Slide(Path("if.tif"), (size,), 0.5, ("CD3",), image.dtype, pixels)


def test_only_tissue_counts() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(10, 2, (200, 300)).astype(np.float32)
    image[20:60, 20:120] += 100  # stained tissue
    image[:, 200:] = 400  # a bright artefact off the tissue
    tissue = np.zeros((20, 30), bool)
    tissue[:, :20] = True
    found = find_threshold(marker_of(image), tissue)
    assert 20 < found.value < 100
    assert found.share == pytest.approx(4000 / 40000, rel=0.02)
    assert found.counts.sum() == 40000


def test_hot_pixels_do_not_move_it() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(10, 2, (400, 400)).astype(np.float32)
    image[50:100, 50:250] += 100
    clean = find_threshold(marker_of(image), np.ones((4, 4), bool))
    image[rng.integers(0, 400, 20), rng.integers(0, 400, 20)] = 60000
    hot = find_threshold(marker_of(image), np.ones((4, 4), bool))
    assert hot.value == pytest.approx(clean.value, rel=0.1)


def test_one_population_is_refused() -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 20, (400, 400))).astype(np.float32)
    with pytest.raises(RegdataError, match=r"CD3 .* one population .*contrast [34]\.\d, 5 needed"):
        find_threshold(marker_of(noise), np.ones((4, 4), bool))
    noise[100:115, 100:115] += 600  # one nucleus in 160,000 pixels is enough to be seen
    found = find_threshold(marker_of(noise), np.ones((4, 4), bool))
    assert found.contrast > 10
    assert found.share == pytest.approx(225 / 160000, rel=0.05)


def test_nothing_above_background() -> None:
    with pytest.raises(RegdataError, match=r"CD3 of if\.tif shows nothing above its background"):
        find_threshold(marker_of(np.zeros((50, 50), np.float32)), np.ones((5, 5), bool))


def test_tissue_mask_of_a_region() -> None:
    tissue = np.array([[True, False], [False, True]])
    assert tissue_at(tissue, (8, 8), (2, 2), (4, 4)).tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, True],
        [False, False, True, True],
    ]


def test_a_mask_is_kept(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(10, 2, (100, 100)).astype(np.float32)
    image[20:40, 20:40] += 100
    threshold = find_threshold(marker_of(image), np.ones((2, 2), bool))
    mask = Mask(3, Background(np.array([[1.5, 2.5]], np.float32), 40.0), threshold)
    save_mask(tmp_path / "m.npz", mask)
    again = load_mask(tmp_path / "m.npz")
    assert again.channel == 3
    assert again.background.grid.tolist() == [[1.5, 2.5]]
    assert again.background.block == 40
    assert again.threshold.value == threshold.value
    assert (again.threshold.counts == threshold.counts).all()
