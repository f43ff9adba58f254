import numpy as np

from regdata.labelling.rules.reasons import NONE, REASONS, bit, first, summed


def test_every_reason_has_a_bit_of_its_own() -> None:
    bits = [bit(reason) for reason in REASONS]
    assert len(set(bits)) == len(REASONS) <= 16  # they are kept in 16 bits
    assert sum(bits) == 2 ** len(REASONS) - 1
    assert NONE not in REASONS


def test_reasons_are_summed_and_the_first_is_told() -> None:
    rng = np.random.default_rng(0)
    found = {reason: rng.random(300) < 0.15 for reason in REASONS}
    bits = summed(found, 300)
    told = first(bits)
    for i in range(300):
        mine = [reason for reason in REASONS if found[reason][i]]
        assert [reason for reason in REASONS if bits[i] & bit(reason)] == mine
        assert told[i] == (mine[0] if mine else NONE)


def test_the_order_in_which_they_hold_does_not_matter() -> None:
    yes = np.ones(1, bool)
    assert first(summed({"conflict": yes, "edge": yes}, 1)).tolist() == ["edge"]
    assert first(summed({"edge": yes, "conflict": yes}, 1)).tolist() == ["edge"]


def test_no_reason_and_no_nuclei() -> None:
    assert summed({}, 2).tolist() == [0, 0]
    assert first(summed({}, 0)).tolist() == []
