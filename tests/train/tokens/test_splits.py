import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.train.tokens.splits import split_groups


def cells(slides, per_slide=100, classes=2, side=8192, seed=0):
    rng = np.random.default_rng(seed)
    slide = np.repeat([f"s{i}" for i in range(slides)], per_slide)
    xy = rng.uniform(0, side, (len(slide), 2))
    return slide, xy, rng.integers(0, classes, len(slide))


def check(split, labels):
    assert not (split.train & split.val).any()
    assert ((split.train | split.val) == (labels >= 0)).all()
    for part in (split.train, split.val):
        assert set(labels[part]) == set(labels[labels >= 0])


@pytest.mark.parametrize("slides", [2, 5, 20])
def test_slides_stay_together(slides):
    slide, xy, labels = cells(slides)
    split = split_groups(slide, xy, labels)
    check(split, labels)
    assert (split.how, split.warning) == ("slide", None)
    assert not set(slide[split.train]) & set(slide[split.val])
    assert split.val.mean() == pytest.approx(max(0.2, 1 / slides), abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_share(share):
    slide, xy, labels = cells(20)
    assert split_groups(slide, xy, labels, share).val.mean() == pytest.approx(share, abs=0.05)


def test_unlabelled_cells_are_in_neither_part():
    slide, xy, labels = cells(4)
    labels[::3] = -1
    check(split_groups(slide, xy, labels), labels)


def test_single_slide_is_split_by_blocks():
    slide, xy, labels = cells(1, 1000)
    split = split_groups(slide, xy, labels)
    check(split, labels)
    assert split.how == "tile block"
    assert "1024 px" in split.warning
    assert "new slide" in split.warning
    block = np.unique(xy // 1024, axis=0, return_inverse=True)[1].reshape(-1)
    assert not set(block[split.train]) & set(block[split.val])
    assert split.val.mean() == pytest.approx(0.2, abs=0.03)


def test_small_slide_gets_smaller_blocks():
    slide, xy, labels = cells(1, 200, side=1000)
    split = split_groups(slide, xy, labels)
    check(split, labels)
    assert "512 px" in split.warning


def test_class_of_one_slide_only_leads_to_blocks_of_all_slides():
    slide, xy, labels = cells(3, 400)
    labels[slide != "s1"] = 0
    split = split_groups(slide, xy, labels)
    check(split, labels)
    assert split.how == "tile block"
    assert split.warning.startswith("no choice of slides has every class in both parts")


def test_crowded_class_leads_to_single_cells():
    slide, xy, labels = cells(1, 200)
    labels[:] = 0
    labels[:5], xy[:5] = 1, 10.0  # all five in one spot
    split = split_groups(slide, xy, labels)
    check(split, labels)
    assert split.how == "cell"
    assert "too high" in split.warning


def test_two_cells_of_a_class_are_enough():
    slide, xy, labels = cells(1, 50)
    labels[:] = 0
    labels[:2] = 1
    check(split_groups(slide, xy, labels), labels)


def test_seed_decides():
    slide, xy, labels = cells(20)
    one, two = (split_groups(slide, xy, labels, seed=3).val for _ in range(2))
    assert (one == two).all()
    others = [split_groups(slide, xy, labels, seed=s).val for s in range(4, 9)]
    assert any((one != other).any() for other in others)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([-1, -1, -1], "got none"), ([], "got none"), ([0, 0, 1], "class 1 has one cell only")],
)
def test_errors(labels, message):
    n = len(labels)
    with pytest.raises(RegdataError, match=message):
        split_groups(np.full(n, "s"), np.zeros((n, 2)), np.array(labels, int))
