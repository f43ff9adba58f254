"""Which channel of an IF slide shows nuclei: the one that looks most like the hematoxylin."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.registration.pose import correlation, dapi_density, he_density, working_mpp
from regdata.registration.registration import fit_affine, nuclear_detail
from regdata.slides import Slide
from regdata.transforms import Transform, warped

_MARGIN = 0.05
"""By so much another channel must correlate better before it is taken for the nuclear one."""
_COARSE_UM = 1.0


def likeness_of_channels(
    he: Slide, if_: Slide, channels: Sequence[int], he_to_if: Transform
) -> NDArray[np.float64]:
    """Correlation of channels with the hematoxylin under a map, (C,); 0 for constant ones."""
    mpp = max(_COARSE_UM, working_mpp(he, if_))
    fixed = nuclear_detail(he_density(he, mpp))
    out = np.zeros(len(channels))
    for k, channel in enumerate(channels):
        warped_if = warped(if_.channel(channel), he, he_to_if)
        try:
            moving = nuclear_detail(dapi_density(warped_if, 0, mpp))
        except RegdataError:  # constant: it is not the nuclear one
            continue
        out[k] = correlation(fixed, moving, np.eye(3))[0]
    return out


def better_channel(
    he: Slide, if_: Slide, dapi: int, others: Sequence[int], he_to_if: Transform
) -> int | None:
    """The channel that looks clearly more like nuclei than the given nuclear one, if any."""
    channels = [dapi, *(c for c in others if c != dapi)]
    likeness = likeness_of_channels(he, if_, channels, he_to_if)
    best = int(likeness.argmax())
    return channels[best] if likeness[best] > likeness[0] + _MARGIN else None


def registrable_channel(he: Slide, if_: Slide, others: Sequence[int]) -> int | None:
    """The first of other channels by which the slides can be registered."""
    for channel in others:
        try:
            fit_affine(he, if_, channel)
        except RegdataError:
            continue
        return channel
    return None
