"""How much of a marker's channel is autofluorescence, read off a channel that shows only it.

What is subtracted is `ratio * autofluorescence`, both without their background. MCMICRO's backsub
takes the ratio of the exposure times; it is fitted here where nobody tells it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Plane
from regdata.errors import RegdataError
from regdata.slides import Slide

_BINS = 20
_FEWEST = 200  # pixels that a line can be fitted to
_LOW = 30.0  # percentile of the marker among pixels of like autofluorescence: unstained
_ROUNDS = 30
_TRIM = 2.5  # robust standard deviations


def check_channels(slide: Slide, marker: int, autofluorescence: int, dapi: int | None) -> None:
    """Refuse an autofluorescence channel that shows something else.

    Raises
    ------
    RegdataError
        When it is not there, or is the marker's or the nuclear channel.
    """
    names = slide.channels
    if not 0 <= autofluorescence < len(names):
        raise RegdataError(
            f"{slide.path} has {len(names)} channels, no channel {autofluorescence} of "
            f"autofluorescence; it has {', '.join(names)}"
        )
    what = {marker: "the marker", dapi: "the nuclear channel"}.get(autofluorescence)
    if what:
        raise RegdataError(
            f"expected a channel of {slide.path} that shows autofluorescence only, got "
            f"{names[autofluorescence]}, which is {what}; name another one, or none"
        )


def fit_ratio(marker: Plane, af: Plane, tissue: NDArray[np.bool_]) -> float:
    """Ratio k at which `marker - k * af` is flat where the tissue is not stained.

    A line through the lower part of the marker at each level of autofluorescence comes first:
    stained pixels lie above it. Then least squares, again and again, over the pixels near the
    line. Noise in `af` would flatten the slope, so the mean of the neighbours stands in for each
    pixel's own value (an instrumental variable: same autofluorescence, other noise).

    Parameters
    ----------
    marker, af
        (H, W) at a coarse resolution, background subtracted.
    tissue
        (H, W) mask.

    Returns
    -------
    float
        Marker per autofluorescence; 0 where the marker does not rise with it.

    Raises
    ------
    RegdataError
        When `af` is constant or there is too little tissue.

    Examples
    --------
    >>> af = np.random.default_rng(0).gamma(2, 10, (60, 60)).astype(np.float32)
    >>> marker = 1.5 * af + 7
    >>> marker[:20] += 500  # stained
    >>> round(fit_ratio(marker, af, np.ones((60, 60), bool)), 3)
    1.5
    """
    y, x = marker[tissue].astype(np.float64), af[tissue].astype(np.float64)
    if len(x) < _FEWEST:
        raise RegdataError(
            f"expected at least {_FEWEST} pixels of tissue to fit autofluorescence to, got "
            f"{len(x)}; pass `autofluorescence=CHANNEL:RATIO`"
        )
    if x.max() - x.min() <= 1e-5 * np.abs(x).max():
        raise RegdataError(
            f"the autofluorescence channel is constant (value {x[0]:g}); name another one, or none"
        )
    stand_in = _neighbours(af.astype(np.float32), tissue)[tissue]
    slope, height = _lower_line(x, y)
    for _ in range(_ROUNDS):
        rest = y - slope * x - height
        # the lower half tells the noise; stained pixels are in the upper one
        middle = float(np.median(rest))
        for _ in range(3):
            below = middle - rest[rest < middle]
            spread = 1.4826 * float(np.median(below)) if below.size else 0.0
            near = np.abs(rest - middle) <= _TRIM * spread + 1e-9 * float(np.abs(y).max())
            middle = float(np.median(rest[near]))
        better, height = _line(x[near], y[near], stand_in[near])
        moved, slope = abs(better - slope), better
        if moved <= 1e-4 * abs(slope):
            break
    return max(0.0, slope)


def _lower_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and height of the line through a low percentile of y in bins of equal counts."""
    parts = np.array_split(np.argsort(x, kind="stable"), _BINS)
    points = [(float(np.median(x[part])), float(np.percentile(y[part], _LOW))) for part in parts]
    at, low = np.array(points).T
    first, second = np.triu_indices(len(at), 1)
    apart = at[second] > at[first]
    if not apart.any():
        return 0.0, float(np.median(low))
    rise = (low[second] - low[first])[apart] / (at[second] - at[first])[apart]
    slope = float(np.median(rise))  # Theil-Sen: bins that are mostly stained do not matter
    return slope, float(np.median(low - slope * at))


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], stand_in: NDArray[np.float32]
) -> tuple[float, float]:
    """Slope and height of y over x, by an instrumental variable where that says anything."""
    z = stand_in.astype(np.float64) - stand_in.mean()
    own = x - x.mean()
    common = float(z @ own)
    if common < 0.3 * float(np.sqrt((z @ z) * (own @ own))):
        z, common = own, float(own @ own)
    slope = float(z @ (y - y.mean())) / common if common > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _neighbours(plane: Plane, tissue: NDArray[np.bool_]) -> Plane:
    """Mean of the four neighbours that are tissue; the pixel itself where there are none."""
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    inside = tissue.astype(np.float32)
    border = cv2.BORDER_ISOLATED | cv2.BORDER_CONSTANT
    total = cv2.filter2D(plane * inside, -1, cross, borderType=border)
    count = cv2.filter2D(inside, -1, cross, borderType=border)
    return np.asarray(np.where(count > 0.5, total / np.maximum(count, 1), plane), np.float32)
