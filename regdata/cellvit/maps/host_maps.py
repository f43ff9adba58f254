"""Reading maps that lie in the host's memory."""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.cellvit.maps.maps import (
    Edges,
    Float,
    Labels,
    PostprocessSettings,
    TokenShares,
    fixed_limits,
    rescaling,
)


@dataclass(frozen=True)
class HostMaps:
    """Numpy maps of one tile; fields and shapes are those of `Maps`."""

    nucleus: Float
    hv: Float
    kinds: Float
    tokens: Float

    def edges(self, settings: PostprocessSettings) -> Edges:
        """The pixels of nuclei and the borders between them.

        A jump of the offsets from 1 to -1 between nuclei that touch is a strongly negative
        gradient, and 1 minus the rescaled gradient close to 1.
        """
        binary = np.ascontiguousarray(self.nucleus > 0.5).view(np.uint8)
        across, along = (self._gradient(axis, settings) for axis in (0, 1))
        rescalings = (_rescaling(across, settings), _rescaling(along, settings))
        # below 0 only where constants are exceeded; clipped, such pixels would tie
        floor = 0.0 if settings.normalise == "tile" else -np.inf
        return Edges(binary, _edge_at(binary, (across, along), rescalings, floor))

    def _gradient(self, axis: int, settings: PostprocessSettings) -> Floats:
        hv = np.ascontiguousarray(self.hv[axis], np.float32)
        if settings.normalise == "tile":
            hv = _rescale(hv, rescaling(*_limits(hv)))
        gradient = cv2.Sobel(hv, cv2.CV_64F, 1 - axis, axis, ksize=settings.sobel)
        return np.asarray(gradient, dtype=np.float64)

    def sums(self, instances: Labels, count: int, votes: bool) -> tuple[Floats, Floats]:
        """(count + 1,) probability and (count + 1, C) kinds of nuclei, as `MapReader.sums`."""
        return _sums(instances, self.nucleus, self.kinds, count, votes)

    def mean_tokens(self, shares: TokenShares) -> NDArray[np.float16]:
        """(N, D) mean token of each nucleus."""
        flat = self.tokens.reshape(len(self.tokens), -1)
        return _mean_tokens(flat, shares.starts, shares.place, shares.weight).astype(np.float16)


def _limits(image: Float | Floats) -> tuple[float, float]:
    low, high, _, _ = cv2.minMaxLoc(image)
    return low, high


def _rescaling(gradient: Floats, settings: PostprocessSettings) -> tuple[float, float]:
    if settings.normalise == "fixed":
        return rescaling(*fixed_limits(settings.sobel))
    return rescaling(*_limits(gradient))


@njit(cache=True, nogil=True)
def _rescale(image: Float, rescaling: tuple[float, float]) -> Float:
    out = np.empty_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = np.float64(image[y, x]) * rescaling[0] + rescaling[1]
    return out


@njit(cache=True, nogil=True)
def _edge_at(
    binary: NDArray[np.uint8],
    gradients: tuple[Floats, Floats],
    rescalings: tuple[tuple[float, float], tuple[float, float]],
    floor: float,
) -> Float:
    one, floor32 = np.float32(1), np.float32(floor)
    out = np.empty(np.sum(binary), np.float32)
    n = 0
    for y in range(binary.shape[0]):
        for x in range(binary.shape[1]):
            if binary[y, x]:
                h = np.float32(gradients[0][y, x] * rescalings[0][0] + rescalings[0][1])
                v = np.float32(gradients[1][y, x] * rescalings[1][0] + rescalings[1][1])
                out[n] = max(one - h, one - v, floor32)
                n += 1
    return out


@njit(cache=True, nogil=True)
def _sums(
    instances: Labels, nucleus: Float, kinds: Float, count: int, votes: bool
) -> tuple[Floats, Floats]:
    total = np.zeros(count + 1)
    by_kind = np.zeros((count + 1, len(kinds)))
    for y in range(instances.shape[0]):
        for x in range(instances.shape[1]):
            i = instances[y, x]
            if i == 0:
                continue
            total[i] += nucleus[y, x]
            best = 0
            for c in range(len(kinds)):
                if votes:
                    best = c if kinds[c, y, x] > kinds[best, y, x] else best
                else:
                    by_kind[i, c] += kinds[c, y, x]
            if votes:
                by_kind[i, best] += 1
    return total, by_kind


@njit(cache=True, nogil=True)
def _mean_tokens(
    tokens: Float, starts: NDArray[np.int64], place: NDArray[np.int64], weight: Float
) -> Float:
    out = np.empty((len(starts) - 1, len(tokens)), np.float32)
    for d in range(len(tokens)):
        for i in range(len(starts) - 1):
            mean = 0.0
            for n in range(starts[i], starts[i + 1]):
                mean += weight[n] * tokens[d, place[n]]
            out[i, d] = mean
    return out
