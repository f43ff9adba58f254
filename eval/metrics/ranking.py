"""Rank of automatic labels among experts, each compared with the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regdata.arrays import Ints
from regdata.eval.metrics.rates import precision_recall_f1

AUTO = "automatic labels"


@dataclass(frozen=True)
class Duel:
    """An expert and the automatic labels, both against the majority of the other experts.

    Attributes
    ----------
    cells
        Number of cells on which the other experts have a majority.
    expert, automatic
        F1, the mean over positive classes that occur; None where there is none.
    """

    name: str
    cells: int
    expert: float | None
    automatic: float | None


@dataclass(frozen=True)
class Ranked:
    """Experts and automatic labels by F1 against the majority of the other experts.

    Attributes
    ----------
    order
        Names and F1, the best first; the automatic labels have the mean of their duels.
    place
        Rank of the automatic labels, from 1.
    beaten
        Number of duels in which they are at least as good.
    """

    order: list[tuple[str, float]]
    place: int | None
    beaten: int
    duels: list[Duel]


def rank_readers(votes: Ints, names: Sequence[str], positive: Sequence[int]) -> Ranked:
    """Ranking of experts and automatic labels by F1 against the majority of the other experts.

    Each expert is left out in turn. It and the automatic labels are compared with the same
    experts on the same cells, so neither has the better reference
    (the duel of Calderon et al., 2025). Cells on which the rest are tied are left out.

    Parameters
    ----------
    votes
        (1 + R, N) int64, class of each cell that all labelled; the automatic labels first.
    names
        Names of the R experts, two or more.
    positive
        Classes whose F1 is averaged.

    Examples
    --------
    >>> votes = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]])
    >>> rank_readers(votes, ["a", "b", "c"], [1]).order[-1][0]
    'a'
    """
    duels = []
    for k, name in enumerate(names, 1):
        rest = np.delete(votes, [0, k], axis=0)
        truth = majority(rest)
        known = truth >= 0
        of_expert, of_auto = (macro_f1(truth[known], votes[row][known], positive) for row in (k, 0))
        duels.append(Duel(name, int(known.sum()), of_expert, of_auto))
    own = [duel.automatic for duel in duels if duel.automatic is not None]
    listed = [(duel.name, duel.expert) for duel in duels if duel.expert is not None]
    place = None
    if own:
        mean = float(np.mean(own))
        place = 1 + sum(value > mean for _, value in listed)
        listed.append((AUTO, mean))
    listed.sort(key=lambda one: -one[1])
    beaten = sum(
        duel.automatic >= duel.expert
        for duel in duels
        if duel.automatic is not None and duel.expert is not None
    )
    return Ranked(listed, place, beaten, duels)


def majority(votes: Ints) -> Ints:
    """(N,) int64, the most frequent class of each cell, -1 where two are equally frequent.

    Parameters
    ----------
    votes
        (R, N) int64, class by each reader; below 0 is no vote.

    Examples
    --------
    >>> majority(np.array([[1, 1], [1, 0], [0, -1]])).tolist()
    [1, -1]
    """
    count = int(votes.max(initial=0)) + 1
    tally = (votes[..., None] == np.arange(count)).sum(axis=0)  # (N, K)
    most = tally.max(axis=1)
    alone = ((tally == most[:, None]).sum(axis=1) == 1) & (most > 0)
    return np.where(alone, tally.argmax(axis=1), -1).astype(np.int64)


def macro_f1(truth: Ints, guess: Ints, positive: Sequence[int]) -> float | None:
    """Mean F1 of the positive classes that occur on either side; None without any.

    Parameters
    ----------
    truth, guess
        (N,) int64, class of each cell.
    """
    counts = [
        ((one & other).sum(), one.sum(), other.sum())
        for one, other in ((guess == k, truth == k) for k in positive)
    ]
    f1 = precision_recall_f1(*np.array(counts).reshape(-1, 3).T)[2]
    known = f1[np.isfinite(f1)]
    return float(known.mean()) if known.size else None
