"""A coarse pose from matching features, robust when only part of the section is in view."""

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.registration.pose.density import Density, Matrix

_FEATURES = 6000
_CONTRAST = 0.02  # half of SIFT's default: densities are flatter than photographs
_DRAWS = 20_000
_NEAR = 3.0  # px, how near a match must come to agree
_FEWEST = 5  # agreeing matches; a similarity is fixed by two
_PORTION = 1024  # features compared at once
MOST_SCALE = 1.25
"""Largest ratio of the slides' true scales to their stated pixel sizes.

A little above the 1.2 to be covered, as rough poses are off by a few per cent.
"""

Complex = NDArray[np.complex128]


def feature_pose(fixed: Density, moving: Density, mirrored: bool) -> Matrix | None:
    """Similarity (H&E to IF, µm) most SIFT matches agree on; None when too few do.

    Parameters
    ----------
    fixed, moving
        Densities of one mpp.
    mirrored
        Whether the IF slide lies face down; SIFT finds no mirrored features, so it is flipped
        first.
    """
    width = moving.values.shape[1]
    here, words_here = _features(fixed, False)
    there, words_there = _features(moving, mirrored)
    if min(len(here), len(there)) < _FEWEST:
        return None
    i, j = _matched(words_here, words_there)
    similarity = consensus(here[i], there[j], _NEAR)
    if similarity is None:
        return None
    factor, shift = similarity
    pose = np.eye(3)
    pose[:2] = [
        [factor.real, -factor.imag, shift.real],
        [factor.imag, factor.real, shift.imag],
    ]
    if mirrored:
        pose = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ pose
    return moving.um_from_index @ pose @ np.linalg.inv(fixed.um_from_index)


def consensus(a: Complex, b: Complex, near: float) -> tuple[complex, complex] | None:
    """The similarity b = factor * a + shift that most pairs of points agree on (RANSAC).

    Points are complex numbers, so a factor is a rotation and a scale in one.

    Parameters
    ----------
    a, b
        (N,) matched points, x + iy.
    near
        How near `b` a mapped point must come to agree.

    Returns
    -------
    tuple or None
        Factor and shift, fitted to all that agree; None when fewer than 5 do.

    Examples
    --------
    >>> a = np.array([0, 10, 10j, 20, 30j, 40 + 5j])
    >>> factor, shift = consensus(a, 1j * a + 3, near=1.0)
    >>> bool(np.isclose(factor, 1j)), bool(np.isclose(shift, 3))
    (True, True)
    """
    if len(a) < _FEWEST:
        return None
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, len(a), (2, _DRAWS))
    apart = np.abs(a[i] - a[j]) > 2 * near
    i, j = i[apart], j[apart]
    factors = (b[i] - b[j]) / (a[i] - a[j])
    fits = np.abs(np.log(np.abs(factors) + 1e-9)) < np.log(MOST_SCALE)
    factors, shifts = factors[fits], (b[i] - factors * a[i])[fits]
    agreeing = [
        np.count_nonzero(np.abs(factor * a + shift - b) < near)
        for factor, shift in zip(factors, shifts, strict=True)
    ]
    if not agreeing or max(agreeing) < _FEWEST:
        return None
    best = int(np.argmax(agreeing))
    inliers = np.abs(factors[best] * a + shifts[best] - b) < near
    return _fitted(a[inliers], b[inliers])


def _matched(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of words of length 1 that are each other's nearest."""
    nearest = np.empty(len(a), np.intp)
    highest, back = np.full(len(b), -1.0, np.float32), np.zeros(len(b), np.intp)
    for start in range(0, len(a), _PORTION):
        # nearest is where the product is largest; one product serves both directions
        alike = a[start : start + _PORTION] @ b.T
        nearest[start : start + len(alike)] = alike.argmax(1)
        best = alike.argmax(0)
        values = alike[best, np.arange(len(b))]
        better = values > highest
        highest[better], back[better] = values[better], best[better] + start
    i = np.flatnonzero(back[nearest] == np.arange(len(a)))
    return i, nearest[i]


def _fitted(a: Complex, b: Complex) -> tuple[complex, complex]:
    centred = a - a.mean()
    factor = complex((centred.conj() @ b) / (centred.conj() @ centred))
    return factor, complex(b.mean() - factor * a.mean())


def _features(density: Density, flip: bool) -> tuple[Complex, NDArray[np.float32]]:
    """Indices (x + iy) of features and their RootSIFT descriptors."""
    values = cv2.GaussianBlur(density.values, (0, 0), 1.0)
    image = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    image = np.ascontiguousarray(image[:, ::-1]) if flip else image
    sift = cv2.SIFT.create(nfeatures=_FEATURES, contrastThreshold=_CONTRAST)
    points, words = sift.detectAndCompute(image, None)
    if words is None:
        return np.zeros(0, np.complex128), np.zeros((0, 128), np.float32)
    at = np.array([complex(*point.pt) for point in points])
    shares = words / np.maximum(words.sum(axis=1, keepdims=True), 1e-6)
    return at, np.sqrt(shares).astype(np.float32)
