import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval import fleiss_kappa, reader_f1

# Fleiss (1971) in the form of the textbook example: 10 subjects, 14 raters, 5 categories
EXAMPLE = np.array(
    [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
     [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
)  # fmt: skip


def test_fleiss_kappa_of_the_textbook() -> None:
    assert fleiss_kappa(EXAMPLE) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(0, 3, (30, 4))  # 30 cells, 4 readers
    votes = np.stack([(given == c).sum(axis=1) for c in range(3)], axis=1)
    agreed = np.mean([given[:, i] == given[:, j] for i in range(4) for j in range(4) if i != j])
    chance = sum((given == c).mean() ** 2 for c in range(3))
    assert fleiss_kappa(votes) == pytest.approx((agreed - chance) / (1 - chance))


@pytest.mark.parametrize("votes", [np.zeros((0, 2), int), [[1, 0]], [[3, 0], [3, 0]]])
def test_fleiss_kappa_may_be_undefined(votes) -> None:
    assert fleiss_kappa(np.array(votes)) is None


def test_cells_with_other_numbers_of_readers_are_refused() -> None:
    with pytest.raises(RegdataError, match="got 2 to 3"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))


def test_every_reader_against_the_others() -> None:
    one = np.array([[0, 10, 10, 1], [0, 80, 10, 2]])
    two = np.array([[0, 12, 10, 1], [0, 82, 10, 1]])
    three = np.zeros((0, 4))
    result = reader_f1([one, two, three], n_images=1)
    assert result["detection"] == [[None, 1.0, 0.0], [1.0, None, 0.0], [0.0, 0.0, None]]
    assert result["mean_f1"][0][1] == pytest.approx((2 / 3 + 0) / 2)
    assert result["per_reader"][0]["detection"] == 0.5
    assert reader_f1([one])["per_reader"] == [{"mean_f1": None, "detection": None}]
