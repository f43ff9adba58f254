"""How far a registration is off, by landmarks that people set on both slides."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.transforms import TargetError, Transform, target_error


@dataclass(frozen=True)
class RegistrationError(TargetError):
    """The errors of `TargetError`, and for how many landmarks the registration did any good.

    Attributes
    ----------
    start_median_um
        Median error before registration, both slides laid corner on corner.
    robustness
        Share of the landmarks closer to their partners than before (R of the ANHIR challenge).
    """

    start_median_um: float
    robustness: float


def target_registration_error(
    he_xy: Points,
    if_xy: Points,
    he_to_if: Transform,
    he_mpp: float,
    if_mpp: float,
    he_size: tuple[int, int],
) -> RegistrationError:
    """The errors of a registration at landmarks that it was not made from.

    H&E landmarks are mapped to the IF slide, and distances are taken there, in µm. rTRE is
    relative to the diagonal of the H&E slide.

    Parameters
    ----------
    he_xy, if_xy
        (N, 2) each, level-0 pixels, origin at the top-left corner of the top-left pixel, as
        `read_landmarks` gives them; row i of either is the same place.
    he_to_if
        H&E µm to IF µm.
    he_mpp, if_mpp
        µm per pixel.
    he_size
        (w, h) of the H&E, level-0 pixels.

    Raises
    ------
    RegdataError
        When the landmarks do not pair, there is none, one is not finite, or a size is not
        positive.

    Examples
    --------
    >>> he = np.array([[10.0, 10.0], [20.0, 10.0]])
    >>> shift = Transform.affine(np.array([[1.0, 0, 3], [0, 1, 4], [0, 0, 1]]))
    >>> error = target_registration_error(he, he + [6, 9], shift, 0.5, 0.5, (300, 400))
    >>> error.median_um, error.median_rtre, error.robustness
    (0.5, 0.002, 1.0)
    """
    for mpp, argument in ((he_mpp, "he_mpp"), (if_mpp, "if_mpp")):
        if not 0 < mpp < np.inf:
            raise RegdataError(
                f"expected a positive pixel size in µm, got {mpp}; pass `{argument}=`"
            )
    he_um, if_um = np.asarray(he_xy, np.float64) * he_mpp, np.asarray(if_xy, np.float64) * if_mpp
    error = target_error(he_to_if, he_um, if_um, float(np.hypot(*he_size)) * he_mpp)
    unmoved = Transform.identity()
    return RegistrationError(
        **asdict(error),
        start_median_um=float(np.median(_distances(unmoved, he_um, if_um))),
        robustness=share_closer(he_to_if, unmoved, he_um, if_um),
    )


def share_closer(he_to_if: Transform, start: Transform, he_um: Points, if_um: Points) -> float:
    """Share of landmarks that one transform takes closer to their partners than another does.

    Parameters
    ----------
    he_to_if, start
        H&E µm to IF µm; equally close is not closer.
    he_um, if_um
        (N, 2) each, µm.
    """
    after, before = (_distances(transform, he_um, if_um) for transform in (he_to_if, start))
    return float((after < before).mean())


def _distances(transform: Transform, he_um: Points, if_um: Points) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(transform.points(he_um) - if_um, axis=1))
