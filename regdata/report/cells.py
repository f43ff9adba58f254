"""The report's gallery: nuclei of every class, negative and unknown ones, as crops."""

from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB
from regdata.files import Progress, silent
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report.charts import short
from regdata.report.contents import Build
from regdata.report.gallery import (
    CROP_UM,
    SHOWN,
    Window,
    nucleus_svg,
    probability_strata,
    sample,
    stained,
)
from regdata.report.html import grid, heading, paragraph

_MOST = 720  # nuclei on a page, so that it stays light with many classes
_PANELS = 3  # markers shown of a class
_TIMES = 3.0  # the threshold, that is drawn brightest where no nucleus is positive


def gallery(build: Build, progress: Progress = silent) -> Iterator[str]:
    """Per class its nuclei, negative ones and unknown ones, beside its markers."""
    yield heading("Gallery")
    yield paragraph(
        f"Crops of {CROP_UM:g} µm: H&E, then the marker warped to it and corrected, its stained "
        "pixels orange; the outline is that of the nucleus (it hides under the pointer). The "
        "nuclei are no random sample: probabilities are drawn evenly from the surest to the "
        "most doubtful, and places spread over the slide, so doubtful nuclei are more frequent "
        "here than in the file; unknown ones are drawn evenly from all reasons."
    )
    count = min(SHOWN, _MOST // (3 * max(1, len(build.classes))))
    done = 0
    for name in build.classes:
        panels = panels_of(build, name)
        white = {marker: white_of(build, marker) for marker in panels}
        yield heading(f"{name} ({build.classes[name].rule})", 3)
        yield paragraph(f"P is the probability of {name}. {_contrast(build, white)}")
        for label in (name, NEGATIVE, UNKNOWN):
            picked = pick(build, name, label, count)
            yield heading(f"{label}: {len(picked)} of {int((build.labels == label).sum()):,}", 4)
            figures = [nucleus(build, index, name, white) for index in picked.tolist()]
            yield grid(figures, "gallery" if len(panels) < 2 else "gallery wide")
            done += 1
            progress(done / (3 * len(build.classes)))


def panels_of(build: Build, name: str) -> list[str]:
    """The markers shown beside the H&E for a class."""
    there = [marker for marker in build.classes[name].markers if marker in build.aligned.markers]
    return there[:_PANELS]


def _contrast(build: Build, white: dict[str, float]) -> str:
    masks = [m for m in white if m not in build.aligned.thresholds]
    scales = [
        f"{m} black at 0, brightest at {short(v)}" for m, v in white.items() if m not in masks
    ]
    told = "; ".join([*scales, *(f"{m} is a mask" for m in masks)])
    if not told:
        return "No marker to show."
    return f"Same contrast in all crops (square root of the intensity): {told}."


def pick(build: Build, name: str, label: str, count: int) -> NDArray[np.int64]:
    """Nuclei of a label to show for a class, the likeliest of that class first."""
    there = np.flatnonzero(build.labels == label)
    chance = build.classes[name].chance[there]
    strata = probability_strata(chance)
    if label == UNKNOWN and "reason" in build.obs:
        strata = np.unique(build.obs["reason"].to_numpy(str)[there], return_inverse=True)[1]
    picked = sample(build.cells.xy[there], strata, count)
    order = np.argsort(-np.nan_to_num(chance[picked], nan=-1.0), kind="stable")
    return there[picked[order]]


def white_of(build: Build, marker: str) -> float:
    """Intensity of a marker that is drawn brightest: what three of four positive nuclei reach not.

    It is that of their 90th percentile of pixels; three thresholds where none is positive, and 1
    for a mask.
    """
    if marker not in build.aligned.thresholds:
        return 1.0
    ring = build.record.rules.compartments.get(marker) == "ring"
    bright = build.numbers(f"{'ring_' if ring else ''}p90_{marker}")
    bright = bright[build.positive(marker) & ~build.unknown & np.isfinite(bright)]
    threshold = build.record.thresholds.get(marker)
    limit = 1.0 if threshold is None else float(threshold.grid.max())
    return max(float(np.percentile(bright, 75)) if len(bright) else _TIMES * limit, 1.5 * limit)


def nucleus(build: Build, index: int, name: str, white: dict[str, float]) -> str:
    """One nucleus of the gallery, as a figure."""
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
    title = f"nucleus {index} at x {x}, y {y}"
    svg = nucleus_svg(pictures, window.inside(cells.contour(index)), title)
    lines = "<br>".join(map(escape, _caption(build, index, name)))
    return f"<figure>{svg}<figcaption>{lines}</figcaption></figure>"


def _caption(build: Build, index: int, name: str) -> Iterator[str]:
    if build.labels[index] == UNKNOWN and "reason" in build.obs:
        yield str(build.obs["reason"].iloc[index])
    chance = float(build.classes[name].chance[index])
    error = float(build.numbers("registration_error_um")[index])
    told = [f"P {_rounded(chance)}"] if np.isfinite(chance) else []
    if build.verdict is not None:
        told.append(f"error {error:.1f} µm" if np.isfinite(error) else "error not known")
    if told:
        yield ", ".join(told)
    markers = build.classes[name].markers
    overlaps = {m: float(build.numbers(f"overlap_{m}")[index]) for m in markers}
    texts = [f"{m} {v:.2f}" if len(overlaps) > 1 else f"{v:.2f}" for m, v in overlaps.items()]
    yield f"overlap {', '.join(texts)}"


def _rounded(chance: float) -> str:
    """A probability in two digits that never claims to be sure.

    Examples
    --------
    >>> _rounded(0.456), rounded(0.9991), rounded(0.0)
    ('0.46', '>0.99', '<0.01')
    """
    return ">0.99" if chance > 0.99 else "<0.01" if chance < 0.01 else f"{chance:.2f}"
