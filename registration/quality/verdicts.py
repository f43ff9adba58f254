"""One verdict over the tiles of a transform: use it, look at it first, or do not use it."""

from dataclasses import dataclass

import numpy as np

from regdata.registration.quality.table import TileQuality

_FEWEST = 4  # tiles with something to see; fewer say little of a slide
_SHARE = (0.8, 0.3)  # of tiles accepted: at least, and below which nothing is usable
_MEDIAN_UM = (1.0, 3.0)
_P90_UM = 3.0
_AREA = 0.5  # least change of area that tissue survives


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a transform can be used.

    Attributes
    ----------
    status
        "accept", "warn" or "refuse".
    reasons
        Why it is not accepted, a sentence each.
    accepted
        Share of the tiles with something to see that are accepted.
    median_um, p90_um
        Of the expected errors of these tiles; NaN without any.
    min_jacobian
        Least change of area over that of the whole slide.
    folds
        Tiles in which the transform folds.
    tiles
        How many tiles have something to see.
    """

    status: str
    reasons: tuple[str, ...]
    accepted: float
    median_um: float
    p90_um: float
    min_jacobian: float
    folds: int
    tiles: int


def verdict(quality: TileQuality) -> Verdict:
    """The verdict on a transform, from its tiles.

    What is judged is how well the slides agree with each other. Tissue that repeats itself can
    agree with its neighbour, so no verdict replaces a look at the pictures.
    """
    measured = quality.status != "empty"
    count = int(measured.sum())
    error = quality.error_um[measured]
    accepted = float((quality.status[measured] == "accept").mean()) if count else 0.0
    median, p90 = np.percentile(error, [50, 90]).tolist() if count else (np.nan, np.nan)
    tissue = quality.tissue > 0
    least = float(quality.jacobian_min[tissue].min(initial=1.0))
    folds = int((quality.jacobian_min[tissue] <= 0).sum())
    numbers = (accepted, median, p90, least, folds, count)
    refused, warned = _refused(*numbers), _warned(*numbers)
    status = "refuse" if refused else "warn" if warned else "accept"
    return Verdict(
        status=status,
        reasons=tuple(refused or warned),
        accepted=accepted,
        median_um=median,
        p90_um=p90,
        min_jacobian=least,
        folds=folds,
        tiles=count,
    )


def _refused(
    accepted: float, median: float, p90: float, least: float, folds: int, count: int
) -> list[str]:
    reasons = []
    if count == 0:
        return ["no tile of tissue shows nuclei in both slides"]
    if folds:
        reasons.append(f"the transform folds in {folds} tiles")
    if accepted < _SHARE[1]:
        reasons.append(f"only {accepted:.0%} of {count} tiles agree, {_SHARE[1]:.0%} needed")
    if median > _MEDIAN_UM[1]:
        reasons.append(f"the median error is {median:.1f} µm, {_MEDIAN_UM[1]:g} µm at most")
    return reasons


def _warned(
    accepted: float, median: float, p90: float, least: float, folds: int, count: int
) -> list[str]:
    reasons = []
    if count < _FEWEST:
        reasons.append(f"only {count} tiles show nuclei: too few to judge a slide by")
    if accepted < _SHARE[0]:
        reasons.append(f"{accepted:.0%} of {count} tiles agree, {_SHARE[0]:.0%} expected")
    if median > _MEDIAN_UM[0]:
        reasons.append(f"the median error is {median:.1f} µm, {_MEDIAN_UM[0]:g} µm expected")
    if p90 > _P90_UM:
        reasons.append(f"a tenth of the tiles is off by more than {p90:.1f} µm")
    if least < _AREA:
        reasons.append(f"tissue is squeezed to {least:.2f} of its area")
    return reasons
