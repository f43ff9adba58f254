"""Polygons as nuclei: their centroids, and the pixels inside them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

Ring = NDArray[np.float64]


def centroid(ring: Ring) -> tuple[float, tuple[float, float]]:
    """(area, (x, y)) of a closed or open ring (N, 2); the mean point where the area is 0.

    Examples
    --------
    >>> centroid(np.array([[0.0, 0], [4, 0], [4, 2], [0, 2]]))
    (8.0, (2.0, 1.0))
    """
    origin = ring.mean(axis=0)
    x, y = (ring - origin).T  # near the origin, or the products lose their last digits
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1e-9:
        return 0.0, (float(origin[0]), float(origin[1]))
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area) + origin[0]
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area) + origin[1]
    return abs(float(area)), (float(cx), float(cy))


def centroid_of(rings: Sequence[Ring]) -> tuple[float, float]:
    """(x, y) of a nucleus in several parts, weighted by their areas."""
    parts = [centroid(ring) for ring in rings]
    weights = np.array([area for area, _ in parts])
    points = np.array([xy for _, xy in parts])
    x, y = np.average(points, axis=0, weights=weights) if weights.any() else points.mean(axis=0)
    return float(x), float(y)


def draw(nuclei: Sequence[Sequence[Ring]], size: tuple[int, int]) -> NDArray[np.int32]:
    """Outlines of nuclei: k + 1 in the pixels whose centres nucleus k holds.

    Large ones are drawn first, so that a small nucleus in a large one does not vanish.

    Parameters
    ----------
    nuclei
        Rings (N, 2) in pixels, corner origin, one or more of each nucleus.
    size
        (H, W).
    """
    out = np.zeros(size, np.int32)
    area = [sum(centroid(ring)[0] for ring in rings) for rings in nuclei]
    for k in np.argsort(-np.array(area), kind="stable"):
        for ring in nuclei[k]:
            rows, cols = polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, size)  # type: ignore[no-untyped-call]
            out[rows, cols] = k + 1
    return out
