"""Blocks of drawn sections, found where they went."""

from dataclasses import replace

import numpy as np
import pytest
from torn_sections import SEARCH, SIDE_UM, drawn, grid, nuclei, rigid

from regdata.registration.bend.matching import (
    local_contrast,
    matched,
    peak,
    trusted,
)
from regdata.transforms.transform import Transform


@pytest.mark.parametrize("shift", [(0, 0), (30, -24), (-60, 81)])
def test_every_block_is_found_where_it_went(shift: tuple[float, float]) -> None:
    xy = nuclei()
    blocks = matched(drawn(xy), drawn(xy + shift), Transform.identity(), SEARCH)
    inside = (np.abs(blocks.xy - SIDE_UM / 2) < 200).all(1)
    assert inside.sum() > 20
    assert np.abs(blocks.shift[inside] - shift).max() <= SEARCH.mpp / 2
    assert blocks.weight[inside].min() > 0.5


def test_shifts_are_counted_from_where_the_transform_leads() -> None:
    xy, start = nuclei(), rigid(30, (15, 20), (450, 450))
    there = start.points(xy + np.array([24, -30]))
    blocks = matched(drawn(xy), drawn(there), start, SEARCH)
    inside = (np.abs(blocks.xy - SIDE_UM / 2) < 200).all(1)
    assert np.abs(blocks.shift[inside] - [24, -30]).max() <= SEARCH.mpp


def test_blocks_lie_in_tissue_of_both_slides() -> None:
    fixed = drawn(nuclei())
    half = fixed.tissue.copy()
    half[:, 450:] = False
    away = Transform.affine(np.array([[1.0, 0, 0], [0, 1, 450], [0, 0, 1]]))
    blocks = matched(replace(fixed, tissue=half), fixed, away, SEARCH)
    reach = SEARCH.half * 0.4 + SEARCH.mpp  # a third of the block
    assert len(blocks)
    assert blocks.xy.max() <= 450 + reach


def test_a_second_peak_as_high_takes_the_weight_away() -> None:
    scores = np.zeros((21, 21), np.float32)
    scores[3, 17] = 0.8
    assert peak(scores, 2)[0].tolist() == [7, -7]
    assert peak(scores, 2)[1] == pytest.approx(0.64)
    scores[15, 4] = 0.8
    assert peak(scores, 2)[1] == 0
    scores[15, 4] = 0.75
    assert peak(scores, 2)[1] == pytest.approx(0.32)


def test_local_contrast_forgets_gain_and_background() -> None:
    values = drawn(nuclei()).values[:300, :300]
    y, x = np.mgrid[:300, :300].astype(np.float32) / 300
    uneven = values * (1 + 2 * x) + 3 * y
    a, b = (
        local_contrast(each.astype(np.float32), 20)[40:-40, 40:-40] for each in (values, uneven)
    )
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
    assert np.abs(b).max() <= 3


def test_only_blocks_that_agree_with_neighbours_are_trusted() -> None:
    blocks = grid((30, 0))
    blocks.shift[blocks.xy[:, 0] > 450] = [-50, 20]  # two pieces, both in agreement
    alone = 2 * 9 + 2
    blocks.shift[alone] = [0, 90]
    blocks.weight[40] = 0.01
    kept = trusted(blocks, 100.0)
    assert not (kept.shift == [0, 90]).all(1).any()
    assert len(kept) >= len(blocks) - 6
    assert {tuple(shift) for shift in kept.shift.tolist()} == {(30, 0), (-50, 20)}
    assert not (kept.xy == blocks.xy[40]).all(1).any()


def test_few_blocks_are_not_trusted_at_all() -> None:
    assert len(trusted(grid().only(np.arange(81) < 5), 100.0)) == 0
