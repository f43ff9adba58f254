"""The rule that makes labels: how much of a nucleus must be stained.

Everything that decides by a share asks here: labels from intensities, labels from masks, options
and the report.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

OVERLAP, AMBIGUOUS = 0.15, 0.05
"""Share of a nucleus above which it is positive, and above which it is not negative any more."""
CERTAIN = 0.8
"""Least probability of a label that is kept."""


@dataclass(frozen=True)
class LabelRule:
    """How labels follow from measurements.

    Attributes
    ----------
    overlap
        A larger share of stained pixels makes a nucleus positive.
    ambiguous
        A share up to this one makes it negative; between the two it is unknown.
    certain
        Least probability of a marker's state that is kept.
    legacy
        The published rule: positive from `overlap` on, else negative, nothing unknown.
    """

    overlap: float = OVERLAP
    ambiguous: float = AMBIGUOUS
    certain: float = CERTAIN
    legacy: bool = False

    @classmethod
    def with_defaults(
        cls,
        overlap: float | None = None,
        ambiguous: float | None = None,
        certain: float | None = None,
        legacy: bool = False,
    ) -> "LabelRule":
        """The rule that these values make, with defaults for those that are None.

        Without `ambiguous`, a rule whose overlap lies below the default band has no band.

        Examples
        --------
        >>> LabelRule.with_defaults(), LabelRule.with_defaults(overlap=0.02).ambiguous
        (LabelRule(overlap=0.15, ambiguous=0.05, certain=0.8, legacy=False), 0.02)
        """
        above = OVERLAP if overlap is None else overlap
        low = min(AMBIGUOUS, above) if ambiguous is None else ambiguous
        return cls(above, low, CERTAIN if certain is None else certain, legacy)

    def state(self, share: ArrayLike) -> NDArray[np.int8]:
        """What stained shares make of nuclei, (N,) int8: 1 positive, 0 negative, -1 in between.

        Parameters
        ----------
        share
            (N,) stained pixels by all pixels, rounded to float32 or finer.

        Examples
        --------
        >>> share = np.array([0.05, 0.10, 0.15, 0.16])
        >>> LabelRule().state(share).tolist(), LabelRule(legacy=True).state(share).tolist()
        ([0, -1, -1, 1], [0, 0, 1, 1])
        """
        # as float32 on both sides, which is comparing counts: 3 of 20 pixels and 0.15 round to
        # the same number, and shares of so few pixels that differ from it round to others
        stained = np.asarray(share, np.float32)
        high, low = np.float32(self.overlap), np.float32(self.ambiguous)
        if self.legacy:
            return (stained >= high).astype(np.int8)
        positive = stained > high
        return np.where(~positive & (stained > low), -1, positive).astype(np.int8)
