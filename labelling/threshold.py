"""The intensity above which a pixel counts as stained."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.otsu import otsu
from regdata.progress import Progress, silent
from regdata.slide import Slide

METHOD = "Otsu of the background-subtracted intensity inside tissue"
_BINS = 4096
_STEP = 2048  # pixels a side read at once


@dataclass(frozen=True)
class Threshold:
    """The threshold of one marker and what it was read off.

    Attributes
    ----------
    value
        Background-subtracted intensity; a pixel above it is stained.
    share
        Share of the tissue above it.
    counts, low, high
        The histogram: counts of equal bins from `low` to `high`.
    """

    value: float
    share: float
    counts: NDArray[np.int64]
    low: float
    high: float


def find_threshold(
    marker: Slide, tissue: NDArray[np.bool_], progress: Progress = silent
) -> Threshold:
    """Otsu's threshold of a marker inside the tissue, from a histogram read in blocks.

    Parameters
    ----------
    marker
        One channel, its background subtracted.
    tissue
        (h, w) mask over the whole slide.

    Raises
    ------
    RegdataError
        When nothing in the channel lies above its background.
    """
    high = _highest(marker, tissue)
    name = marker.channels[0]
    if not high > 0:
        raise RegdataError(
            f"channel {name} of {marker.path} shows nothing above its background; "
            "check that it is the stained channel"
        )
    counts = np.zeros(_BINS, np.int64)
    width, height = marker.size
    corners = [(x, y) for y in range(0, height, _STEP) for x in range(0, width, _STEP)]
    for done, (x, y) in enumerate(corners, 1):
        size = (min(_STEP, width - x), min(_STEP, height - y))
        mask = tissue_at(tissue, marker.size, (x, y), size)
        if mask.any():
            values = marker.read((x, y), size)[0][mask]
            place = np.clip(values * (_BINS / high), 0, _BINS - 1).astype(np.int64)
            counts += np.bincount(place, minlength=_BINS)
        progress(done / len(corners))
    last, _ = otsu(counts)
    share = float(counts[last + 1 :].sum() / max(1, counts.sum()))
    return Threshold((last + 1) * high / _BINS, share, counts, 0.0, high)


def _highest(marker: Slide, tissue: NDArray[np.bool_]) -> float:
    """Upper end of the histogram: the 99.9th percentile at half a micrometre, and a margin.

    Single hot pixels above it all fall into the last bin, so they cannot stretch the histogram.
    """
    finest = max(1.0, 0.5 / marker.known_mpp("--if-mpp"))
    overview = marker.overview(max(finest, max(marker.size) / 4096))[0]
    h, w = overview.shape
    mask = cv2.resize(tissue.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    values = overview[mask] if mask.any() else overview.ravel()
    return 1.25 * float(np.percentile(values, 99.9))


def tissue_at(
    tissue: NDArray[np.bool_],
    slide_size: tuple[int, int],
    xy: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """The tissue mask of a region at level 0, (h, w), nearest neighbour."""
    rows = (np.arange(size[1]) + xy[1] + 0.5) * tissue.shape[0] / slide_size[1]
    columns = (np.arange(size[0]) + xy[0] + 0.5) * tissue.shape[1] / slide_size[0]
    rows = np.clip(rows.astype(np.int64), 0, tissue.shape[0] - 1)
    columns = np.clip(columns.astype(np.int64), 0, tissue.shape[1] - 1)
    return tissue[np.ix_(rows, columns)]
