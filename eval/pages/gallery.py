"""The gallery of an evaluation: nuclei found in vain, missed and confused, as crops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.eval.metrics import FoundImage
from regdata.report import CROP_UM, Window, allot, grid, heading, jpeg_uri, paragraph

_ANNOTATED, FOUND = "#ffe600", "#00e5ff"
SHOWN = 24
"""Crops of each kind."""
_QUALITY = 88
_MARK_UM = 1.5  # half a marker


@dataclass(frozen=True)
class Case:
    """A nucleus to show.

    Attributes
    ----------
    annotated, found
        Its index on either side; -1 where there is none.
    """

    image: int
    annotated: int
    found: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """An outline in a crop, in level-0 pixels; a single point is drawn as a marker."""

    points: Floats
    colour: str
    main: bool


def gallery(images: Sequence[FoundImage], classes: Sequence[str]) -> Iterator[str]:
    """The three kinds of mistake, with what was annotated and what was found."""
    yield heading("Mistakes")
    yield paragraph(
        f"Crops of {CROP_UM:g} µm at the images' own resolution, spread over images and classes "
        "and so no random sample. The nucleus in question is drawn thick, others thin; under the "
        "pointer outlines hide. Before blaming the classifier, ask whether the annotation is right."
    )
    yield (
        f'<div class="legend"><span style="background:#5b4a6e;color:{_ANNOTATED};padding:0 .5rem">'
        f'annotated</span><span style="background:#5b4a6e;color:{FOUND};padding:0 .5rem">found'
        "</span></div>"
    )
    kinds: tuple[tuple[str, Callable[[FoundImage], NDArray[np.int64]]], ...] = (
        ("False positives: found, not annotated", _in_vain),
        ("False negatives: annotated, not found", _missed),
        ("Confusions: found with another class", _confused),
    )
    for title, rows_of in kinds:
        rows = [rows_of(found) for found in images]
        total = sum(map(len, rows))
        cases = pick(images, rows, classes)
        yield heading(f"{title}: {len(cases)} of {total:,}", 3)
        yield grid(_figures(images, cases), "gallery") if cases else paragraph("There are none.")


def pick(
    images: Sequence[FoundImage], rows: Sequence[NDArray[np.int64]], classes: Sequence[str]
) -> list[Case]:
    """At most `SHOWN` of the pairs (annotated, found), evenly of all classes, over all images."""
    place = np.repeat(np.arange(len(images)), [len(one) for one in rows])
    joined = np.concatenate([np.zeros((0, 2), np.int64), *rows])
    kinds = [_kinds(found, one, len(classes)) for found, one in zip(images, rows, strict=True)]
    chosen = _in_turn(np.concatenate(kinds), place)
    cases = [(int(place[k]), int(joined[k, 0]), int(joined[k, 1])) for k in chosen]
    return [_case(images, i, a, f, classes) for i, a, f in cases]


def _kinds(found: FoundImage, rows: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(n,) a number for each pair of classes, 0 being no class."""
    truth, guess = np.append(found.truth, -1) + 1, np.append(found.guess, -1) + 1
    return np.asarray(truth[rows[:, 0]] * (classes + 1) + guess[rows[:, 1]], np.int64)


def _in_turn(kind: NDArray[np.int64], place: NDArray[np.int64], seed: int = 0) -> list[int]:
    """Indices, by kind: as many of each as there is room for, its images taking turns."""
    shuffled = np.random.default_rng(seed).permutation(len(kind))
    turn = pd.DataFrame({"kind": kind, "place": place}).loc[shuffled]
    turn["turn"] = turn.groupby(["kind", "place"]).cumcount()
    turn = turn.sort_values(["kind", "turn"], kind="stable")
    names, sizes = np.unique(kind, return_counts=True)
    groups = dict(list(turn.groupby("kind")))
    quotas = zip(names.tolist(), allot(sizes, SHOWN), strict=True)
    return [int(k) for name, quota in quotas for k in groups[name].index[:quota]]


def crop_svg(image: NDArray[np.uint8], window: Window, shapes: Sequence[Shape], title: str) -> str:
    """A crop with outlines and markers drawn over it as vectors."""
    side = window.side
    drawn = "".join(_drawn(shape, window) for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" role="img">'
        f"<title>{escape(title)}</title>"
        f'<image width="{side}" height="{side}" href="{jpeg_uri(image, _QUALITY)}"/>{drawn}</svg>'
    )


def held(window: Window, size: tuple[int, int]) -> Window:
    """The window moved into an image of (w, h) pixels, as far as it fits."""
    corner = [
        max(0.0, min(at, side - window.side * window.step))
        for at, side in zip(window.corner, size, strict=True)
    ]
    return replace(window, corner=(corner[0], corner[1]))


def _marker(xy: Floats, mpp: float) -> Floats:
    """(4, 2) a small diamond around a point, pixels."""
    half = _MARK_UM / mpp
    return np.asarray(xy + half * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]]), np.float64)


def _in_vain(found: FoundImage) -> NDArray[np.int64]:
    cells = np.flatnonzero(found.free)
    return np.column_stack([np.full(len(cells), -1), cells])


def _missed(found: FoundImage) -> NDArray[np.int64]:
    return np.column_stack([found.missed, np.full(len(found.missed), -1)])


def _confused(found: FoundImage) -> NDArray[np.int64]:
    here, there = found.pairs.T
    wrong: NDArray[np.int64] = found.pairs[found.truth[here] != found.guess[there]]
    return wrong


def _case(images: Sequence[FoundImage], i: int, a: int, f: int, classes: Sequence[str]) -> Case:
    found = images[i]
    lines = []
    if a >= 0:
        lines.append(f"annotated {classes[found.truth[a]]}")
    if f >= 0:
        best = int(found.guess[f])
        lines.append(f"found {classes[best]}, P {found.probabilities[f, best]:.2f}")
    return Case(i, a, f, (*lines, found.image.name))


def _figures(images: Sequence[FoundImage], cases: Sequence[Case]) -> list[str]:
    """A figure per case; every image is opened once."""
    done: dict[int, str] = {}
    for i in sorted({case.image for case in cases}):
        found = images[i]
        slide = found.image.opened().with_mpp(found.mpp)
        outlines = None if found.image.outlines is None else found.image.outlines()
        for k, case in enumerate(cases):
            if case.image != i:
                continue
            xy = found.xy[case.found] if case.found >= 0 else found.image.points_xy[case.annotated]
            window = held(Window.around(xy, found.mpp, 1.0), slide.size)
            rgb = slide.read_rgb(window.corner, (window.side, window.side), 1.0)
            shapes = list(_shapes(found, case, window, outlines))
            x, y = np.rint(xy).astype(int).tolist()
            svg = crop_svg(rgb, window, shapes, f"{found.image.name} at x {x}, y {y}")
            text = "<br>".join(map(escape, case.lines))
            done[k] = f"<figure>{svg}<figcaption>{text}</figcaption></figure>"
    return [done[k] for k in range(len(cases))]


def _shapes(
    found: FoundImage, case: Case, window: Window, outlines: NDArray[np.int32] | None
) -> Iterator[Shape]:
    """All that was annotated and found in a crop; the case itself last, on top."""
    own = []
    for a in _within(found.image.points_xy, window):
        points = None if outlines is None else _contour(outlines, a, window)
        if points is None:
            points = _marker(found.image.points_xy[a], found.mpp)
        shape = Shape(points, _ANNOTATED, a == case.annotated)
        if not shape.main:
            yield shape
        else:
            own.append(shape)
    for f in _within(found.xy, window):
        points = found.contour(f).astype(np.float64)
        if len(points) == 0:
            points = _marker(found.xy[f], found.mpp)
        shape = Shape(points, FOUND, f == case.found)
        if not shape.main:
            yield shape
        else:
            own.append(shape)
    yield from own


def _within(xy: Floats, window: Window) -> list[int]:
    inside = window.inside(xy)
    places: list[int] = np.flatnonzero(((inside > 0) & (inside < window.side)).all(1)).tolist()
    return places


def _contour(outlines: NDArray[np.int32], index: int, window: Window) -> Floats | None:
    """(n, 2) outline of an annotated nucleus through the centres of its border pixels."""
    left, top = (max(0, int(corner) - window.side) for corner in window.corner)
    part = outlines[top : top + 3 * window.side, left : left + 3 * window.side] == index + 1
    found, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return None
    points = max(found, key=len)[:, 0].astype(np.float64)
    return np.asarray(points + np.array([left, top]) + 0.5, np.float64)


def _drawn(shape: Shape, window: Window) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in window.inside(shape.points).tolist())
    look = ("2.2", "1") if shape.main else ("1", "0.75")
    return (
        f'<polygon points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{look[0]}" '
        f'stroke-opacity="{look[1]}" vector-effect="non-scaling-stroke"/>'
    )
