"""Registration of the IF slide to the H&E slide of the same section, and the evidence for it."""

from dataclasses import dataclass, fields
from pathlib import Path

from regdata.files import Progress, silent
from regdata.registration.bend import deform, detail_score, he_map, moving_map, piecewise, rounds_at
from regdata.registration.pose import (
    FINEST_UM,
    Density,
    Likeness,
    Limits,
    Matrix,
    better_mirror,
    coarse_poses,
    dapi_density,
    detail_um,
    he_density,
    likeness,
    refined_in_steps,
    working_mpp,
)
from regdata.slides import Slide
from regdata.transforms import Transform, load_transform, read_about, save_transform

MIN_Z = 12.0
"""Standard deviations above the null that the correlation of one section must reach.

Measured: 56 right pairs (real and simulated, rotated, mirrored, cut, displaced by up to 10 µm)
lie above 17, 55 pairs of different tissue below 9.
"""
_MIN_MARGIN = 1.25
"""Times the score of the best pose with the other mirror state that the best must reach.

Guards against regular tissue, which fits itself in many places; right pairs lie above 2.
"""
_LIMITS = Limits(MIN_Z, _MIN_MARGIN, "hematoxylin-DAPI correlation", "the DAPI channel")

_LEVELS_UM = (2.0, 1.0, 0.0)  # µm per pixel of the affine steps; 0 is the finest there is
_FINER = 0.75  # µm per pixel of the non-rigid part over those of the IF slide, at least
_JUDGED_UM, _JUDGED_MOST = 1.0, 2048  # µm per pixel of the verdict; pixels a side at most
_NULL = (3.5, 27.0)  # shifts of the null, in the coarser scale of nuclear detail


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The map between the two slides and the evidence for it.

    Attributes
    ----------
    he_to_if
        H&E µm to IF µm.
    correlation
        Of nuclear detail in hematoxylin and warped DAPI, inside tissue.
    null_mean, null_sd
        Of its Fisher transform at 48 shifted poses: what chance gives.
    margin
        Score of the pose over that of the best with the other mirror state.
    affine_correlation
        The same before the non-rigid part.
    working_mpp
        µm per pixel of the finest step.
    """

    he_to_if: Transform
    correlation: float
    null_mean: float
    null_sd: float
    margin: float
    affine_correlation: float
    working_mpp: float

    @property
    def z(self) -> float:
        """Standard deviations the affine correlation lies above chance."""
        return Likeness(self.affine_correlation, self.null_mean, self.null_sd).z

    @property
    def numbers(self) -> dict[str, float]:
        """The evidence, for a file."""
        return {name: getattr(self, name) for name in self._names()}

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "he_to_if"]

    def save(self, path: Path, about: dict[str, str | float | int] | None = None) -> None:
        """Write it as a transform file."""
        save_transform(path, self.he_to_if, {**(about or {}), **self.numbers, "z": self.z})

    @classmethod
    def load(cls, path: Path) -> "Registration":
        """The registration in a file that `save` wrote."""
        about = read_about(path)
        numbers = {name: float(about[name]) for name in cls._names()}
        return cls(he_to_if=load_transform(path), **numbers)


def evidence(
    he_to_if: Transform, correlation: float, affine: Likeness, margin: float, mpp: float
) -> Registration:
    """A registration: a map with the evidence for it.

    Parameters
    ----------
    correlation
        At the map itself.
    affine
        How alike the slides are at the affine map it goes on from, beside chance.
    """
    return Registration(
        he_to_if=he_to_if,
        correlation=correlation,
        null_mean=affine.null_mean,
        null_sd=affine.null_sd,
        margin=margin,
        affine_correlation=affine.correlation,
        working_mpp=mpp,
    )


@dataclass(frozen=True)
class AffineFit:
    """The affine map and the densities behind it: where every non-rigid method begins.

    Attributes
    ----------
    fixed, moving
        Densities of H&E and IF.
    detail
        `nuclear_detail` of both, by which the fit is judged.
    matrix
        (3, 3), H&E µm to IF µm.
    likeness
        How alike the slides are there, beside chance.
    margin
        See `Registration`.
    """

    fixed: Density
    moving: Density
    detail: tuple[Density, Density]
    matrix: Matrix
    likeness: Likeness
    margin: float

    def registration(self, he_to_if: Transform) -> Registration:
        """The registration of a refined map, or of the affine one if that is as good."""
        after = detail_score(*self.detail, he_to_if)
        if after <= self.likeness.correlation:
            he_to_if, after = Transform.affine(self.matrix), self.likeness.correlation
        return evidence(he_to_if, after, self.likeness, self.margin, self.fixed.mpp)


def register(
    he: Slide,
    if_: Slide,
    channel: int,
    progress: Progress = silent,
    affine_only: bool = False,
) -> Registration:
    """The map from the H&E slide to the IF slide of the same section, with its evidence.

    Any rotation, a mirrored slide, different pixel sizes and different fields of view are
    found; true scales may differ from the stated pixel sizes by 20 %.

    Parameters
    ----------
    he
        RGB.
    if_
        With a nuclear channel; a bright-field slide goes through `as_fluorescence` first.
    channel
        Index of the nuclear channel of `if_`.
    progress
        Called with the share done.
    affine_only
        Leave out the non-rigid part.

    Raises
    ------
    RegdataError
        When a slide shows nothing, has no mpp, or the two do not look like the same tissue.
    """
    share = 1.0 if affine_only else 0.4
    levels = _LEVELS_UM if affine_only else _LEVELS_UM[:1]  # flow goes on from there
    fit = fit_affine(he, if_, channel, lambda x: progress(share * x), levels)
    affine = Transform.affine(fit.matrix)
    if affine_only:
        return fit.registration(affine)
    finest = max(FINEST_UM, he.known_mpp("he_mpp"), _FINER * if_.known_mpp("if_mpp"))
    fixed = he_map(he, finest, fit.fixed)
    moving = moving_map(if_, channel, finest, fit.moving)
    start = piecewise(fit.fixed, fit.moving, affine)
    bent = deform(fixed, moving, start, rounds_at(finest), lambda x: progress(0.4 + 0.6 * x))
    return fit.registration(bent)


def fit_affine(
    he: Slide,
    if_: Slide,
    channel: int,
    progress: Progress = silent,
    levels_um: tuple[float, ...] = _LEVELS_UM,
) -> AffineFit:
    """The best affine map; slides that do not show the same tissue are refused.

    Parameters
    ----------
    he, if_, channel, progress
        As for `register`.
    levels_um
        µm per pixel of the steps of refinement; 0 is the finest there is.

    Raises
    ------
    RegdataError
        As `register`.
    """
    mpp = working_mpp(he, if_)
    fixed, moving = he_density(he, mpp), dapi_density(if_, channel, mpp)
    progress(0.1)
    pose, margin = better_mirror(
        coarse_poses(fixed, moving, lambda share: progress(0.1 + 0.6 * share))
    )
    if pose is None:
        raise _LIMITS.unlike(he, if_, "no pose was found at which both show the same nuclei")
    detail = nuclear_detail(fixed), nuclear_detail(moving)
    matrix = refined_in_steps(
        (fixed, moving), detail, pose.matrix, levels_um, lambda x: progress(0.7 + 0.3 * x)
    )
    affine_likeness = _judge(*detail, matrix)
    _LIMITS.check(he, if_, affine_likeness, margin)
    return AffineFit(fixed, moving, detail, matrix, affine_likeness, margin)


def given(he: Slide, if_: Slide, channel: int, he_to_if: Transform) -> Registration:
    """A registration from a given map; its margin is NaN, as no other pose was tried."""
    mpp = working_mpp(he, if_)
    fixed, moving = he_density(he, mpp), dapi_density(if_, channel, mpp)
    detail = nuclear_detail(fixed), nuclear_detail(moving)
    affine_likeness = _judge(*detail, he_to_if.nearest_affine(fixed.size_um))
    after = detail_score(*detail, he_to_if)
    return evidence(he_to_if, after, affine_likeness, float("nan"), mpp)


def nuclear_detail(density: Density) -> Density:
    """The density reduced to detail of the size of nuclei, at the resolution it is judged at."""
    mpp = max(_JUDGED_UM, density.mpp, float(density.size_um.max()) / _JUDGED_MOST)
    return density.coarser(mpp).band(*detail_um(mpp))


def _judge(fixed: Density, moving: Density, he_to_if: Matrix) -> Likeness:
    """How alike two slides are at a pose, by their nuclear detail."""
    _, coarse = detail_um(max(fixed.mpp, moving.mpp))
    return likeness(fixed, moving, he_to_if, (_NULL[0] * coarse, _NULL[1] * coarse))
