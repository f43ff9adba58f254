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
MIN_CONTRAST = 5.0
"""Below it there is one population of pixels, which Otsu's method would cut in two: noise has a
contrast of 4, real stains measured 6.5 to 76."""
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
    contrast
        Distance between the means of stained and unstained pixels, in standard deviations of
        the unstained.
    counts, low, high
        The histogram: counts of equal bins from `low` to `high`.
    """

    value: float
    share: float
    contrast: float
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
        When nothing in the channel lies above its background, or no stained pixels stand out.
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
    contrast = class_contrast(counts, last)
    if contrast < MIN_CONTRAST:
        raise RegdataError(
            f"channel {name} of {marker.path} shows one population of pixels, not stained and "
            f"unstained ones (contrast {contrast:.1f}, {MIN_CONTRAST:g} needed): a failed stain, "
            "or a section without positive cells; leave the marker out"
        )
    return Threshold((last + 1) * high / _BINS, share, contrast, counts, 0.0, high)


def class_contrast(counts: NDArray[np.int64], last: int) -> float:
    """Distance between the means of the classes of a histogram, in SDs of the lower one.

    Parameters
    ----------
    counts
        (n,) counts of equal bins.
    last
        The last bin of the lower class.

    Examples
    --------
    >>> import numpy as np
    >>> class_contrast(np.array([1, 0, 1, 0, 0, 0, 2]), 3)
    5.0
    """
    bins = np.arange(len(counts), dtype=np.float64)
    lower, upper = counts[: last + 1], counts[last + 1 :]
    if lower.sum() == 0 or upper.sum() == 0:
        return 0.0
    mean = float(np.average(bins[: last + 1], weights=lower))
    spread = float(np.sqrt(np.average((bins[: last + 1] - mean) ** 2, weights=lower)))
    # a tenth of a bin: a lower class of one value has no spread of its own
    return (float(np.average(bins[last + 1 :], weights=upper)) - mean) / max(spread, 0.1)


def _highest(marker: Slide, tissue: NDArray[np.bool_]) -> float:
    """Upper end of the histogram: the 99.99th percentile at half a micrometre, and a margin.

    So few pixels may be stained. Hot pixels, which are more, do not count: they stand alone and
    a median of 3x3 pixels removes them.
    """
    finest = max(1.0, 0.5 / marker.known_mpp("--if-mpp"))
    overview = marker.overview(max(finest, max(marker.size) / 4096))[0]
    overview = cv2.medianBlur(overview.astype(np.float32), 3)
    h, w = overview.shape
    mask = cv2.resize(tissue.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    values = overview[mask] if mask.any() else overview.ravel()
    return 1.25 * float(np.percentile(values, 99.99))


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
