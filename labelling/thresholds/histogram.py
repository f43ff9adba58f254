"""A histogram of intensities: all that a threshold over a whole slide is read off."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts of equal bins of background-subtracted intensity.

    Attributes
    ----------
    counts
        (n,) float64, counts or sums of weights.
    low, high
        Lower edge of the first and upper edge of the last bin.

    Examples
    --------
    >>> h = Histogram.of([0.5, 2.5, 2.5, 99.0], None, 0.0, 4.0, 4)
    >>> h.counts.tolist(), h.edge(1)
    ([1.0, 0.0, 2.0, 1.0], 2.0)
    """

    counts: NDArray[np.float64]
    low: float
    high: float

    @classmethod
    def of(
        cls,
        values: ArrayLike,
        weights: ArrayLike | None = None,
        low: float = 0.0,
        high: float = 1.0,
        bins: int = 4096,
    ) -> "Histogram":
        """Histogram of values, those outside the range counted in the outermost bins.

        Parameters
        ----------
        values
            (N,) intensities; NaN are left out.
        weights
            (N,), by default 1 each.
        """
        return cls(np.zeros(bins), float(low), float(high)).add(values, weights)

    def add(self, values: ArrayLike, weights: ArrayLike | None = None) -> "Histogram":
        """The histogram with more values counted; for slides read in blocks."""
        x = np.asarray(values, dtype=np.float64).ravel()
        known = ~np.isnan(x)
        w = None if weights is None else np.asarray(weights, dtype=np.float64).ravel()[known]
        n = len(self.counts)
        place = np.clip((x[known] - self.low) * (n / (self.high - self.low)), 0, n - 1)
        more = np.bincount(place.astype(np.int64), w, minlength=n)
        return replace(self, counts=self.counts + more)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / len(self.counts)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n,) middle of each bin."""
        steps = np.arange(len(self.counts), dtype=np.float64)
        return np.asarray(self.low + (steps + 0.5) * self.width, dtype=np.float64)

    def edge(self, i: int) -> float:
        """Upper edge of bin `i`."""
        return self.low + (i + 1) * self.width

    @property
    def total(self) -> float:
        """Sum of the counts."""
        return float(self.counts.sum())
