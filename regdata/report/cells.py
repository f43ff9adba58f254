"""The report's gallery: nuclei of every class, negative and unknown ones, as crops."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB
from regdata.files import Progress, silent
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report.contents import Build
from regdata.report.gallery import (
    SHOWN,
    Crop,
    Group,
    Outline,
    Window,
    probability_strata,
    sample,
    stained,
)
from regdata.report.numbers import short

_MOST = 720  # nuclei on a page, so that it stays light with many classes
_PANELS = 3  # markers shown of a class
_TIMES = 3.0  # the threshold, that is drawn brightest where no nucleus is positive


@dataclass(frozen=True)
class ClassGallery:
    """Nuclei shown for a class: its own, negative and unknown ones, beside its markers.

    Attributes
    ----------
    contrast
        Range of intensities in which each marker is drawn, as text.
    panels
        Number of markers shown.
    """

    name: str
    rule: str
    contrast: str
    panels: int
    groups: tuple[Group, ...]


def galleries(build: Build, progress: Progress = silent) -> Iterator[ClassGallery]:
    """The gallery of each class; crops are read from the slides one by one."""
    count = min(SHOWN, _MOST // (3 * max(1, len(build.classes))))
    done = 0
    for name, one in build.classes.items():
        white = {marker: white_of(build, marker) for marker in panels_of(build, name)}
        groups = []
        for label in (name, NEGATIVE, UNKNOWN):
            picked = pick(build, name, label, count).tolist()
            crops = [nucleus(build, index, name, white) for index in picked]
            groups.append(Group(label, int((build.labels == label).sum()), crops))
            done += 1
            progress(done / (3 * len(build.classes)))
        yield ClassGallery(name, one.rule, _contrast(build, white), len(white), tuple(groups))


def panels_of(build: Build, name: str) -> list[str]:
    """The markers shown beside the H&E for a class."""
    there = [marker for marker in build.classes[name].markers if marker in build.aligned.markers]
    return there[:_PANELS]


def _contrast(build: Build, white: dict[str, float]) -> str:
    masks = [m for m in white if m not in build.aligned.thresholds]
    scales = [
        f"{m} black at 0, brightest at {short(v)}" for m, v in white.items() if m not in masks
    ]
    return "; ".join([*scales, *(f"{m} is a mask" for m in masks)])


def pick(build: Build, name: str, label: str, count: int) -> NDArray[np.int64]:
    """(n,) int64, indices of nuclei of a label to show for a class, the likeliest first."""
    there = np.flatnonzero(build.labels == label)
    chance = build.classes[name].chance[there]
    strata = probability_strata(chance)
    if label == UNKNOWN and "reason" in build.obs:
        strata = np.unique(build.obs["reason"].to_numpy(str)[there], return_inverse=True)[1]
    picked = sample(build.cells.xy[there], strata, count)
    order = np.argsort(-np.nan_to_num(chance[picked], nan=-1.0), kind="stable")
    return there[picked[order]]


def white_of(build: Build, marker: str) -> float:
    """Intensity of a marker that is drawn brightest.

    It is the upper quartile, over positive nuclei, of the 90th percentile of their pixels; three
    thresholds where none is positive, and 1 for a mask.
    """
    if marker not in build.aligned.thresholds:
        return 1.0
    ring = build.record.rules.compartments.get(marker) == "ring"
    bright = build.numbers(f"{'ring_' if ring else ''}p90_{marker}")
    bright = bright[build.positive(marker) & ~build.unknown & np.isfinite(bright)]
    threshold = build.record.thresholds.get(marker)
    limit = 1.0 if threshold is None else float(threshold.grid.max())
    return max(float(np.percentile(bright, 75)) if len(bright) else _TIMES * limit, 1.5 * limit)


def nucleus(build: Build, index: int, name: str, white: dict[str, float]) -> Crop:
    """One nucleus of the gallery: the H&E, then each marker.

    Parameters
    ----------
    white
        Per marker the intensity drawn brightest.
    """
    aligned, cells = build.aligned, build.cells
    window = Window.around(cells.xy[index], build.mpp, aligned.step)
    size = (window.side, window.side)
    pictures: list[RGB] = [aligned.he.read_rgb(window.corner, size, window.step)]
    for marker, most in white.items():
        image = aligned.markers[marker].read(window.corner, size, window.step)[0]
        if marker not in aligned.thresholds:
            image = image > 0
        limit = aligned.limit(marker, window.corner, size)
        pictures.append(stained(image.astype(np.float32), limit, most))
    x, y = np.rint(cells.xy[index]).astype(int).tolist()
    outline = Outline(window.inside(cells.contour(index)))
    lines = tuple(_caption(build, index, name))
    return Crop(pictures, [outline], f"nucleus {index} at x {x}, y {y}", lines)


def _caption(build: Build, index: int, name: str) -> Iterator[str]:
    if build.labels[index] == UNKNOWN and "reason" in build.obs:
        yield str(build.obs["reason"].iloc[index])
    chance = float(build.classes[name].chance[index])
    error = float(build.numbers("registration_error_um")[index])
    parts = [f"P {_rounded(chance)}"] if np.isfinite(chance) else []
    if build.verdict is not None:
        parts.append(f"error {error:.1f} µm" if np.isfinite(error) else "error not known")
    if parts:
        yield ", ".join(parts)
    markers = build.classes[name].markers
    overlaps = {m: float(build.numbers(f"overlap_{m}")[index]) for m in markers}
    texts = [f"{m} {v:.2f}" if len(overlaps) > 1 else f"{v:.2f}" for m, v in overlaps.items()]
    yield f"overlap {', '.join(texts)}"


def _rounded(chance: float) -> str:
    """A probability in two digits, never 0 or 1.

    Examples
    --------
    >>> _rounded(0.456), _rounded(0.9991), _rounded(0.0)
    ('0.46', '>0.99', '<0.01')
    """
    return ">0.99" if chance > 0.99 else "<0.01" if chance < 0.01 else f"{chance:.2f}"
