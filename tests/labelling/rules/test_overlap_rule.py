"""The rule by which shares make labels, to the pixel."""

import numpy as np
import pytest

from regdata.labelling.rules.overlap_rule import AMBIGUOUS, CERTAIN, OVERLAP, LabelRule

LARGEST = 1500
"""Pixels of a large nucleus."""


@pytest.mark.parametrize(
    ("share", "state", "legacy"),
    [
        (0.0, 0, 0),
        (0.05, 0, 0),
        (0.0501, -1, 0),
        (0.1499, -1, 0),
        (0.15, -1, 1),
        (3 / 20, -1, 1),
        (15 / 100, -1, 1),
        (0.1501, 1, 1),
        (1.0, 1, 1),
    ],
)
def test_the_published_cut_off_and_ours(share: float, state: int, legacy: int) -> None:
    for given in (share, np.float32(share)):
        assert LabelRule().state([given]).tolist() == [state]
        assert LabelRule(legacy=True).state([given]).tolist() == [legacy]


@pytest.mark.parametrize("thousandths", [50, 100, 120, 150, 200, 333, 700])
def test_shares_are_compared_as_counts_of_pixels(thousandths: int) -> None:
    cut = thousandths / 1000
    areas = range(1, LARGEST + 1)
    area = np.concatenate([np.full(n + 1, n) for n in areas])
    hits = np.concatenate([np.arange(n + 1) for n in areas])
    beyond = 1000 * hits - thousandths * area
    share = (hits / area).astype(np.float32)
    assert (beyond == 0).any()
    assert np.array_equal(LabelRule(cut, cut).state(share) == 1, beyond > 0)
    assert np.array_equal(LabelRule(1.0, cut).state(share) == 0, beyond <= 0)
    assert np.array_equal(LabelRule(cut, legacy=True).state(share) == 1, beyond >= 0)


def test_defaults_stand_here() -> None:
    assert (OVERLAP, AMBIGUOUS, CERTAIN) == (0.15, 0.05, 0.8)
    assert LabelRule.with_defaults() == LabelRule() == LabelRule(0.15, 0.05, 0.8, legacy=False)


def test_what_was_asked_for_holds() -> None:
    assert LabelRule.with_defaults(0.5, 0.3, 0.9, True) == LabelRule(0.5, 0.3, 0.9, True)
    assert LabelRule.with_defaults(0.5).ambiguous == 0.05
    assert LabelRule.with_defaults(0.02) == LabelRule(0.02, 0.02)  # the default band gives way
    assert LabelRule.with_defaults(0.0).ambiguous == 0.0
    assert LabelRule.with_defaults(ambiguous=0.0).ambiguous == 0.0


def test_no_nuclei() -> None:
    assert LabelRule().state(np.zeros(0)).shape == (0,)
