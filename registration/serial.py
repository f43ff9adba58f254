"""Registration of a neighbouring section, whose nuclei are others: by structure of tens of µm.

A pose at 14 µm per pixel, an affine map, then blocks of 0.7 mm matched one by one and joined by a
stiff spline, twice, then one round of flow. Nothing here knows of nuclei.
"""

from regdata.files import Progress, silent
from regdata.registration.bend import (
    Fit,
    NuclearMap,
    Round,
    Search,
    Stiffness,
    behind,
    deform,
    detail_score,
    shift_field,
)
from regdata.registration.pose import (
    Density,
    Likeness,
    Limits,
    Matrix,
    better_mirror,
    coarse_poses,
    dapi_density,
    he_density,
    likeness,
    refined_in_steps,
    working_mpp,
)
from regdata.registration.registration import Registration, evidence
from regdata.slides import Slide
from regdata.transforms import Transform

MIN_Z = 5.0
"""Standard deviations above chance that the correlation of neighbouring sections must reach.

Measured on lung: right pairs, turned and mirrored, lie above 8.4, other lesions below 2.9.
"""
MIN_MARGIN = 1.5
"""As in `register`; right pairs lie above 1.8, other lesions below 1.36."""
_LIMITS = Limits(MIN_Z, MIN_MARGIN, "correlation of structure", "what shows the nuclei")

_FINEST_UM = 3.5  # µm per pixel, finer than anything neighbouring sections share
_STRUCTURE_UM = 14.0  # µm per pixel of the pose; detail between that and six times it
_NULL = (3.5, 27.0)  # shifts of the null, in the coarser scale of detail
_SEARCH = Search(_STRUCTURE_UM, half=350.0, reach=150.0, step=100.0, contrast=150.0)
_FIT = Fit(400.0, Stiffness(1e9, 0.0), apart=30.0)
_FLOW = (Round("flow", 7.0, 224.0, 3.0, 60.0, Stiffness(1e7, 0.01)),)


def register_serial(
    he: Slide,
    moving: Slide,
    channel: int,
    progress: Progress = silent,
    affine_only: bool = False,
) -> Registration:
    """The map from the H&E slide to a slide of a neighbouring section, with its evidence.

    Sections a few µm apart share vessels, glands and outlines, but no nuclei: expect errors of
    tens of µm, too many to carry labels from nucleus to nucleus.

    Parameters
    ----------
    he
        RGB.
    moving
        With a nuclear channel; a bright-field slide goes through `as_fluorescence` first.
    channel
        Index of the nuclear channel.
    progress
        Called with the share done.
    affine_only
        Leave out the non-rigid part.

    Raises
    ------
    RegdataError
        When a slide shows nothing, has no mpp, or the two do not look like the same tissue.
    """
    mpp = max(_FINEST_UM, working_mpp(he, moving))
    fixed, other = he_density(he, mpp), dapi_density(moving, channel, mpp)
    progress(0.1)
    pose = posed(fixed, other, lambda share: progress(0.1 + 0.5 * share))
    if pose is None:
        raise _LIMITS.unlike(he, moving, "no pose was found at which both show the same structure")
    matrix, likeness, margin = pose
    _LIMITS.check(he, moving, likeness, margin)
    he_to_if, after = Transform.affine(matrix), likeness.correlation
    if not affine_only:
        bent = _bent(fixed, other, he_to_if, lambda share: progress(0.6 + 0.4 * share))
        better = detail_score(structure(fixed), structure(other), bent)
        if better > after:
            he_to_if, after = bent, better
    progress(1.0)
    return evidence(he_to_if, after, likeness, margin, mpp)


def posed(
    fixed: Density, moving: Density, progress: Progress = silent
) -> tuple[Matrix, Likeness, float] | None:
    """The best affine map, how alike the sections are there, and its margin over mirrored.

    Returns
    -------
    tuple or None
        (3, 3) H&E µm to IF µm, likeness and margin (10 at most); None when there is no pose.
    """
    rough = fixed.coarser(_STRUCTURE_UM), moving.coarser(_STRUCTURE_UM)
    both = coarse_poses(*rough, lambda share: progress(0.8 * share))
    pose, margin = better_mirror(both)
    if pose is None:
        return None
    detail = structure(fixed), structure(moving)
    levels = (_STRUCTURE_UM, _STRUCTURE_UM / 2)
    matrix = refined_in_steps((fixed, moving), detail, pose.matrix, levels)
    progress(1.0)
    coarse = 6 * max(_STRUCTURE_UM, fixed.mpp)
    return matrix, likeness(*detail, matrix, (_NULL[0] * coarse, _NULL[1] * coarse)), margin


def structure(density: Density) -> Density:
    """The density reduced to structure that neighbouring sections share, where it is judged."""
    mpp = max(_STRUCTURE_UM, density.mpp)
    return density.coarser(mpp).band(mpp, 6 * mpp)


def _bent(fixed: Density, moving: Density, he_to_if: Transform, progress: Progress) -> Transform:
    """Blocks, blocks again on what those before have turned, and flow."""
    field = shift_field(fixed, moving, he_to_if, _SEARCH, _FIT)
    field = shift_field(fixed, moving, he_to_if, _SEARCH, _FIT, field)
    progress(0.5)
    maps = NuclearMap.of(fixed), NuclearMap.of(moving)
    return deform(*maps, behind(field, he_to_if), _FLOW, lambda x: progress(0.5 + 0.5 * x))
