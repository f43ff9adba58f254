import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.train.segmentation.sampling import (
    PANNUKE_FREQUENCIES,
    cell_tissue_weights,
    cell_weights,
    count_nuclei,
    share_out,
    tissue_weights,
)


def test_tissue_weights_by_hand() -> None:
    # four images, three of tissue 0, one of tissue 5: 4 / (0.85 n + 0.6)
    weights = tissue_weights(np.array([0, 0, 5, 0]))
    assert weights == pytest.approx([4 / 3.15, 4 / 3.15, 4 / 1.45, 4 / 3.15])


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, [1, 1, 1]), (1.0, [1.5, 1.5, 3])])
def test_gamma_of_tissues(gamma: float, expected: list[float]) -> None:
    assert tissue_weights(np.array([1, 1, 2]), gamma) == pytest.approx(expected)


def test_unknown_tissues_move_nothing() -> None:
    some = tissue_weights(np.array([0, -1, 0, 5, 0, -1]))
    assert some[[0, 2, 3, 4]] == pytest.approx(tissue_weights(np.array([0, 0, 5, 0])))
    assert some[[1, 5]] == pytest.approx([some[[0, 2, 3, 4]].mean()] * 2)
    assert tissue_weights(np.array([-1, -1])).tolist() == [1, 1]


def test_cell_weights_by_hand() -> None:
    # f = [3, 1], K = 4: rarity 4 / (2.55 + 0.6) and 4 / (0.85 + 0.6)
    counts = np.array([[9, 0], [1, 0], [2, 7], [0, 0], [-1, -1]])
    common, rare = 4 / 3.15, 4 / 1.45
    one, both = 0.15 + 0.85 * common, 0.15 + 0.85 * (common + rare)
    expected = [one, one, both, one, (one + one + both) / 3]
    assert cell_weights(counts) == pytest.approx(expected)


def test_cell_weights_with_the_published_frequencies() -> None:
    counts = np.array([[0, 0, 0, 3, 0], [0, 0, 8, 0, 0]])
    dead, connective = cell_weights(counts, 0.85, PANNUKE_FREQUENCIES)
    total = 4191 + 4132 + 6140 + 232 + 1528
    assert dead == pytest.approx(0.15 + 0.85 * total / (0.85 * 232 + 0.15 * total))
    assert connective == pytest.approx(0.15 + 0.85 * total / (0.85 * 6140 + 0.15 * total))


@pytest.mark.parametrize("counts", [[[0, 0], [0, 0]], [[-1, -1], [-1, -1]]])
def test_no_cells_anywhere(counts: list[list[int]]) -> None:
    assert cell_weights(np.array(counts)).tolist() == [1, 1]


def test_gamma_one_of_cells_leaves_out_absent_classes() -> None:
    assert cell_weights(np.array([[1, 0, 1], [1, 0, 0]]), 1.0) == pytest.approx([1.5 + 3, 1.5])


def test_both_are_scaled_to_their_maximum() -> None:
    counts, tissues = np.array([[9, 0], [1, 0], [2, 7]]), np.array([0, 1, 0])
    cells, tissue = cell_weights(counts), tissue_weights(tissues)
    both = cell_tissue_weights(counts, tissues)
    assert both == pytest.approx(cells / cells.max() + tissue / tissue.max())
    assert both[2] == pytest.approx(1 + tissue[0] / tissue[1])
    assert len(cell_tissue_weights(counts[:0], tissues[:0])) == 0


def test_nuclei_are_counted_by_their_main_class() -> None:
    instances = np.array([[1, 1, 1, 0], [7, 7, 7, 9]], np.int32)
    types = np.array([[2, 2, 1, 3], [0, 0, 1, 0]], np.uint8)
    counts = count_nuclei([(instances, types), (instances, None), (0 * instances, types)], 3)
    assert counts.tolist() == [[1, 1, 0], [-1, -1, -1], [0, 0, 0]]


def test_every_source_gets_its_share() -> None:
    chance = share_out([np.array([1.0, 3.0]), np.array([5.0]), np.ones(7)], [0.6, 0.2, 0.0])
    assert chance == pytest.approx([0.1875, 0.5625, 0.25] + [0] * 7)


def test_shares_that_cannot_be_met() -> None:
    with pytest.raises(RegdataError, match=r"source 2 has a share of 0\.5 but no"):
        share_out([np.ones(2), np.ones(0)], [0.5, 0.5])
    with pytest.raises(RegdataError, match="no source has a share"):
        share_out([np.ones(2)], [0])
