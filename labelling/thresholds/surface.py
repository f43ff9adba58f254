"""A threshold that varies over the slide, for stains whose intensity drifts.

SegPath (Komura et al., 2023) takes Otsu's threshold of the pixels of the nuclei of neighbouring
patches and smooths it over patches that succeeded. So it is here, without its constants in
intensities: the scale comes from the noise of unstained nuclei, the limits from the slide's
global threshold, and a tile counts as far as its two classes stand apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CLAMP = 4.0
"""A local threshold lies within a factor of this of the global one."""
LINEAR_SDS = 4.0
"""Below so many standard deviations of the noise the scale is linear, above logarithmic: a log
alone tears the noise apart, a linear scale cuts weak positives off."""
_CONTRAST = (3.5, 5.0)
"""Contrast at which a tile begins to count and counts in full; normally distributed noise has
2.6 on this scale, stains in simulated sections 5 to 13."""
_VALLEY = (0.8, 0.95)
"""Density between the classes as a share of the upper class's peak, at which a tile counts in
full and no longer: the tail of skewed noise falls and has no peak."""
_MIN_NUCLEI = 10.0
"""So many nuclei's worth of stained pixels make a tile count in full."""
_BINS = 128
_CHUNK = 100_000  # nuclei binned at once
_PRIOR = 0.1  # evidence that a coarser estimate is worth


@dataclass(frozen=True)
class Surface:
    """A threshold on a coarse grid over the slide.

    Attributes
    ----------
    grid
        (h, w) float32 background-subtracted intensity; tile (0, 0) begins at the slide's corner.
    tile_um
        Side of a tile.
    weight
        (h, w) float32, the evidence each tile gave, 0 to 1.
    """

    grid: NDArray[np.float32]
    tile_um: float
    weight: NDArray[np.float32]

    def at(self, xy_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Threshold at points, bilinear between the centres of tiles and constant beyond.

        Parameters
        ----------
        xy_um
            (N, 2) x, y in µm from the slide's corner.

        Examples
        --------
        >>> tiles = np.array([[10, 20]], np.float32)
        >>> Surface(tiles, 100.0, tiles).at(np.array([[0, 0], [100, 50]])).tolist()
        [10.0, 15.0]
        """
        place = np.asarray(xy_um, dtype=np.float64).T[::-1] / self.tile_um - 0.5
        grid = self.grid.astype(np.float64)
        return np.asarray(
            ndimage.map_coordinates(grid, place, order=1, mode="nearest"), dtype=np.float64
        )

    def over(
        self, corner_um: NDArray[np.float64], size: tuple[int, int], mpp: float
    ) -> NDArray[np.float32]:
        """Threshold at the pixel centres of a region, (h, w).

        Parameters
        ----------
        corner_um
            (2,) its top-left corner.
        size
            (w, h) in pixels.
        mpp
            µm per pixel.
        """
        if self.grid.size == 1:
            return np.full(size[::-1], self.grid[0, 0], np.float32)
        x, y = (corner_um[k] + (np.arange(size[k]) + 0.5) * mpp for k in (0, 1))
        points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        return self.at(points).reshape(size[::-1]).astype(np.float32)

    @classmethod
    def constant(cls, value: float) -> "Surface":
        """The same threshold everywhere, from no tile's evidence."""
        return cls(np.full((1, 1), value, np.float32), 1.0, np.zeros((1, 1), np.float32))


@dataclass(frozen=True)
class _Scale:
    """Inverse hyperbolic sine of the intensity, in bins: linear in noise, logarithmic above."""

    middle: float
    spread: float
    low: float
    step: float

    def bins(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """The bin of each value; those outside take the outermost."""
        place = (np.arcsinh((values - self.middle) / self.spread) - self.low) / self.step
        return np.asarray(np.clip(place, 0, _BINS - 1), dtype=np.int64)

    def upper_edge(self, i: NDArray[np.int64]) -> NDArray[np.float64]:
        """Intensity of the upper edge of bins."""
        edge = np.sinh(self.low + (i + 1) * self.step) * self.spread + self.middle
        return np.asarray(edge, dtype=np.float64)


def local_thresholds(
    xy_um: NDArray[np.float64],
    values: NDArray[np.floating],
    weights: NDArray[np.floating],
    size_um: tuple[float, float],
    tile_um: float,
    fallback: float,
) -> Surface:
    """Otsu's threshold of the nuclei of each tile and its neighbours, smoothed over the slide.

    Where no stained nuclei are, the threshold is that of the nearest tiles that have some.

    Parameters
    ----------
    xy_um
        (N, 2) x, y of the nuclei in µm from the slide's corner.
    values
        (N, Q) intensities of each nucleus, Q pixels or quantiles that count equally;
        background-subtracted.
    weights
        (N,) areas.
    size_um
        (w, h) of the slide.
    tile_um
        Side of a tile.
    fallback
        The global threshold: what holds without evidence, and what a local threshold departs
        from by a factor of `CLAMP` at most.
    """
    columns, rows = (max(1, int(np.ceil(side / tile_um))) for side in size_um)
    if not len(values) or not fallback > 0:
        flat = np.full((rows, columns), fallback, np.float32)
        return Surface(flat, tile_um, np.zeros_like(flat))
    scale = _scale(values, fallback)
    counts = _tile_counts(xy_um, values, weights, (rows, columns), tile_um, scale)
    last = np.empty((rows, columns), np.int64)
    weight = np.empty((rows, columns))
    for r in range(rows):  # by row, so that what Otsu's method needs never covers the slide
        strip = counts[max(0, r - 1) : r + 2].sum(0, dtype=np.float64)
        pooled = ndimage.correlate1d(strip, [1.0, 1.0, 1.0], axis=0, mode="constant")
        last[r], weight[r] = _split(pooled)
    limits = fallback / CLAMP, fallback * CLAMP
    logs = np.log(np.clip(scale.upper_edge(last), *limits))
    grid = np.exp(_smooth(logs, weight, float(np.log(fallback))))
    return Surface(grid.astype(np.float32), tile_um, weight.astype(np.float32))


def _scale(values: NDArray[np.floating], fallback: float) -> _Scale:
    """The scale of the values, from the noise of those below the global threshold."""
    sample = values[:: max(1, len(values) // 20_000)].ravel()
    sample = sample[np.isfinite(sample)].astype(np.float64)
    lower = sample[sample < fallback] if (sample < fallback).any() else np.zeros(1)
    middle = float(np.median(lower))
    upper = lower[lower > middle] if (lower > middle).any() else lower
    # its upper half: a channel clipped at 0 has no lower one
    noise = max(1.4826 * float(np.median(upper) - middle), fallback / 64)
    spread = LINEAR_SDS * noise
    top = max(float(sample.max(initial=0.0)), 2 * CLAMP * fallback)
    low = float(np.arcsinh(-5 * noise / spread))
    step = (float(np.arcsinh((top - middle) / spread)) - low) / _BINS
    return _Scale(middle, spread, low, step)


def _tile_counts(
    xy_um: NDArray[np.float64],
    values: NDArray[np.floating],
    weights: NDArray[np.floating],
    shape: tuple[int, int],
    tile_um: float,
    scale: _Scale,
) -> NDArray[np.float32]:
    """(rows, columns, bins) histogram per tile, in nuclei of mean area."""
    rows, columns = shape
    xy = np.clip(xy_um / tile_um, 0, [columns - 1, rows - 1]).astype(np.int64)
    tile = xy[:, 1] * columns + xy[:, 0]
    order = np.argsort(tile, kind="stable")
    share = (weights / (weights.mean() * values.shape[1])).astype(np.float64)
    counts = np.zeros((rows * columns, _BINS), np.float32)
    for start in range(0, len(order), _CHUNK):  # sorted: a chunk fills neighbouring tiles only
        part = order[start : start + _CHUNK]
        first, end = tile[part[0]], tile[part[-1]] + 1
        known = np.isfinite(values[part])
        key = (tile[part, None] - first) * _BINS + scale.bins(np.where(known, values[part], 0))
        mass = np.where(known, share[part, None], 0.0)
        filled = np.bincount(key.ravel(), mass.ravel(), minlength=(end - first) * _BINS)
        counts[first:end] += filled.reshape(-1, _BINS)
    return counts.reshape(rows, columns, _BINS)


def _split(counts: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Otsu's split of each of (T, bins) histograms, and how much it is to be believed, 0 to 1."""
    bins = np.arange(_BINS, dtype=np.float64)
    below, mass, square = (np.cumsum(counts * bins**k, axis=1) for k in range(3))
    above = below[:, -1:] - below
    product = below * above
    between = (mass[:, -1:] * below - mass * below[:, -1:]) ** 2
    between = np.where(product > 1e-9, between / np.maximum(product, 1e-9), 0.0)
    # of places between which nothing lies, the middle
    best = between >= between.max(1, keepdims=True) * (1 - 1e-9)
    last = (best.argmax(1) + _BINS - 1 - best[:, ::-1].argmax(1)) // 2
    at = np.arange(len(counts)), last
    lower, upper = np.maximum(below[at], 1e-9), np.maximum(above[at], 1e-9)
    mean = mass[at] / lower
    # a third of a bin: what a single filled bin may hold
    spread = np.sqrt(np.maximum(square[at] / lower - mean**2, 1 / 9))
    contrast = ((mass[:, -1] - mass[at]) / upper - mean) / spread
    believed = np.clip((contrast - _CONTRAST[0]) / (_CONTRAST[1] - _CONTRAST[0]), 0, 1)
    depth = _valley(counts, mean, (mass[:, -1] - mass[at]) / upper)
    believed *= np.clip((_VALLEY[1] - depth) / (_VALLEY[1] - _VALLEY[0]), 0, 1)
    return last, np.where(product[at] > 1e-9, believed * np.minimum(above[at] / _MIN_NUCLEI, 1), 0)


def _valley(
    counts: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lowest density between two means as a share of the peak at or above it, 0 to 1."""
    density = ndimage.gaussian_filter1d(counts, 3.0, axis=1, mode="constant")
    bins = np.arange(_BINS)
    peak = np.maximum.accumulate(density[:, ::-1], axis=1)[:, ::-1]
    ratio = density / np.maximum(peak, 1e-12)
    between = (bins >= lower[:, None]) & (bins <= upper[:, None])
    return np.asarray(np.where(between, ratio, 1.0).min(1))


def _smooth(
    values: NDArray[np.float64], weight: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    """Normalised convolution with ever narrower Gaussians, each falling back on the one before.

    After Knutsson & Westin (1993); so a tile without evidence takes what is known around it, at
    whatever distance, and the prior holds where nothing is.
    """
    out = np.full(values.shape, prior)
    for level in range(int(np.ceil(np.log2(max(values.shape)))), -1, -1):
        top, under = (
            ndimage.gaussian_filter(image, 2.0**level, mode="constant")
            for image in (values * weight, weight)
        )
        out = (top + _PRIOR * out) / (under + _PRIOR)
    return out
