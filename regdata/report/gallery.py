"""Galleries of nuclei: which ones are shown, and the picture of each.

Conventions
-----------
A crop begins at whole steps from the slide's corner, so that its pixels are those the nucleus was
segmented on. Outlines are drawn as vectors in pixels of the crop with the corner origin, where the
centre of pixel i lies at i + 0.5; contours run through centres of pixels and need no shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB, Floats

CROP_UM = 24.0
"""Side of a crop."""
SHOWN = 40
"""Nuclei shown of each kind."""
FOUND_COLOUR = "#00e5ff"
"""Of the outlines of segmented nuclei."""
_BINS = 8  # of probability
_POOL = 4096  # nuclei of a stratum that are looked at
_TRIES = 12  # candidates of which the one farthest from those taken is taken
_GAP = 2  # crop pixels between pictures


@dataclass(frozen=True)
class Window:
    """A square of the slide: its corner in level-0 pixels, its side in pixels of `step`."""

    corner: tuple[float, float]
    side: int
    step: float

    @classmethod
    def around(cls, xy: Floats, mpp: float, step: float) -> "Window":
        """The window of `CROP_UM` around a point.

        Parameters
        ----------
        xy
            (2,) float64, level-0 pixels.
        mpp
            µm per level-0 pixel.
        step
            Level-0 pixels per pixel of the crop.
        """
        # a multiple of the blocks of JPEG, so that pictures side by side do not bleed
        side = 8 * max(2, round(CROP_UM / (mpp * step) / 8))
        left, top = (np.round(xy / step - side / 2) * step).tolist()
        return cls((left, top), side, step)

    def held(self, size: tuple[int, int]) -> "Window":
        """The window moved into an image of (w, h) level-0 pixels, as far as it fits."""
        x, y = (
            max(0.0, min(at, side - self.side * self.step))
            for at, side in zip(self.corner, size, strict=True)
        )
        return replace(self, corner=(x, y))

    def inside(self, points: NDArray[np.floating]) -> Floats:
        """(n, 2) float64, points (n, 2) in level-0 pixels as pixels of the crop, corner origin."""
        return np.asarray((points - np.array(self.corner)) / self.step, np.float64)


def probability_strata(chance: NDArray[np.floating]) -> NDArray[np.int64]:
    """(N,) int64, bin of each probability (N,) between the least and the largest; -1 for NaN."""
    known = np.isfinite(chance)
    if not known.any():
        return np.full(len(chance), -1)
    low, high = float(np.nanmin(chance)), float(np.nanmax(chance))
    place = np.floor((np.where(known, chance, low) - low) / max(high - low, 1e-9) * _BINS)
    return np.where(known, np.minimum(place, _BINS - 1), -1).astype(np.int64)


def sample(
    xy: Floats, strata: NDArray[np.int64], count: int = SHOWN, seed: int = 0
) -> NDArray[np.int64]:
    """(n,) int64, indices of at most `count` points, as many of each stratum, spread evenly.

    What a small stratum does not fill the others share. Within a stratum points are taken one
    by one, each the farthest from those taken of a few drawn at random (Mitchell, 1991).

    Parameters
    ----------
    xy
        (N, 2) float64, in any unit.
    strata
        (N,) int64, number of the stratum of each point.

    Examples
    --------
    >>> places = np.arange(10.0)[:, None].repeat(2, 1)
    >>> strata = np.array([0] * 8 + [1] * 2)
    >>> np.bincount(strata[sample(places, strata, 5)]).tolist()
    [3, 2]
    """
    rng = np.random.default_rng(seed)
    names, sizes = np.unique(strata, return_counts=True)
    taken: list[int] = []
    for name, quota in zip(names, allot(sizes, count), strict=True):
        left = rng.permutation(np.flatnonzero(strata == name))[:_POOL]
        for _ in range(quota):
            some = rng.integers(0, len(left), _TRIES)
            apart = ((xy[left[some], None] - xy[taken]) ** 2).sum(-1).min(1, initial=np.inf)
            best = int(some[apart.argmax()])
            taken.append(int(left[best]))
            left = np.delete(left, best)
    return np.array(taken, np.int64)


def allot(sizes: NDArray[np.int64], count: int) -> list[int]:
    """Shares of `count`, one for each of the (n,) sizes, as equal as these allow.

    Examples
    --------
    >>> allot(np.array([100, 3, 50]), 20)
    [9, 3, 8]
    """
    out = np.zeros(len(sizes), np.int64)
    while out.sum() < min(count, int(sizes.sum())):
        room = np.flatnonzero(out < sizes)
        out[room[out[room].argmin()]] += 1
    return out.tolist()


def stained(image: NDArray[np.floating], limit: NDArray[np.floating], white: float) -> RGB:
    """(h, w, 3) uint8, a marker in grey, its stained pixels in orange of the same brightness.

    Parameters
    ----------
    image, limit
        (h, w) intensity, and the threshold above which a pixel is stained.
    white
        Intensity that is drawn brightest; brightness grows with the square root, so that what
        lies little above the threshold still shows.
    """
    level = np.sqrt(np.clip(image / max(white, 1e-9), 0, 1))[..., None]
    tint = np.where((image > limit)[..., None], [1.0, 0.72, 0.2], [0.75, 0.75, 0.75])
    return np.asarray(np.rint(255 * level * tint), np.uint8)


@dataclass(frozen=True)
class Outline:
    """A line around a nucleus: (n, 2) in pixels of a crop, corner origin, and its look."""

    points: NDArray[np.floating]
    colour: str = FOUND_COLOUR
    width: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Crop:
    """Pictures of one nucleus side by side, outlined in each, over lines of text.

    Attributes
    ----------
    pictures
        (s, s, 3) uint8 each.
    title
        Text under the pointer.
    """

    pictures: Sequence[RGB]
    outlines: Sequence[Outline]
    title: str
    lines: Sequence[str]

    @property
    def side(self) -> int:
        """Pixels of a picture."""
        return int(self.pictures[0].shape[0])

    @property
    def pitch(self) -> int:
        """Pixels from one picture to the next."""
        return self.side + _GAP

    @property
    def width(self) -> int:
        """Pixels of all pictures."""
        return self.pitch * len(self.pictures) - _GAP


@dataclass(frozen=True)
class Group:
    """Crops of some nuclei of a kind, and how many there are of it."""

    title: str
    total: int
    crops: Sequence[Crop]
