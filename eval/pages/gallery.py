"""The gallery of an evaluation: false positive, missed and confused nuclei, as crops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.arrays import Floats
from regdata.eval.metrics import MatchedImage
from regdata.report import FOUND_COLOUR, Crop, Group, Outline, Window, allot

ANNOTATED_COLOUR = "#ffe600"
"""Of the outlines of annotated nuclei; predicted ones are as in the report of a build."""
SHOWN = 24
"""Crops of each kind."""
_MARK_UM = 1.5  # half a marker


@dataclass(frozen=True)
class Case:
    """A nucleus to show.

    Attributes
    ----------
    annotated, predicted
        Its index on either side; -1 where there is none.
    """

    image: int
    annotated: int
    predicted: int
    lines: tuple[str, ...]


def mistakes(images: Sequence[MatchedImage], classes: Sequence[str]) -> Iterator[Group]:
    """The three kinds of mistake as groups of crops, with annotated and predicted nuclei."""
    kinds: tuple[tuple[str, Callable[[MatchedImage], NDArray[np.int64]]], ...] = (
        ("False positives: found, not annotated", _in_vain),
        ("False negatives: annotated, not found", _missed),
        ("Confusions: found with another class", _confused),
    )
    for title, rows_of in kinds:
        rows = [rows_of(matched) for matched in images]
        total = sum(map(len, rows))
        yield Group(title, total, _crops(images, pick(images, rows, classes)))


def pick(
    images: Sequence[MatchedImage], rows: Sequence[NDArray[np.int64]], classes: Sequence[str]
) -> list[Case]:
    """At most `SHOWN` of the pairs, evenly of all classes and over all images.

    Parameters
    ----------
    rows
        Per image (n, 2) int64, indices (annotated, predicted), -1 for none.
    """
    place = np.repeat(np.arange(len(images)), [len(one) for one in rows])
    joined = np.concatenate([np.zeros((0, 2), np.int64), *rows])
    kinds = [_kinds(matched, one, len(classes)) for matched, one in zip(images, rows, strict=True)]
    chosen = _in_turn(np.concatenate(kinds), place)
    cases = [(int(place[k]), int(joined[k, 0]), int(joined[k, 1])) for k in chosen]
    return [_case(images, i, a, f, classes) for i, a, f in cases]


def _kinds(matched: MatchedImage, rows: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(n,) a number for each pair of classes, 0 being no class."""
    truth, guess = np.append(matched.truth, -1) + 1, np.append(matched.guess, -1) + 1
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


def _marker(xy: Floats, mpp: float) -> Floats:
    """(4, 2) a small diamond around a point, pixels."""
    half = _MARK_UM / mpp
    return np.asarray(xy + half * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]]), np.float64)


def _in_vain(matched: MatchedImage) -> NDArray[np.int64]:
    cells = np.flatnonzero(matched.free)
    return np.column_stack([np.full(len(cells), -1), cells])


def _missed(matched: MatchedImage) -> NDArray[np.int64]:
    return np.column_stack([matched.missed, np.full(len(matched.missed), -1)])


def _confused(matched: MatchedImage) -> NDArray[np.int64]:
    here, there = matched.pairs.T
    wrong: NDArray[np.int64] = matched.pairs[matched.truth[here] != matched.guess[there]]
    return wrong


def _case(images: Sequence[MatchedImage], i: int, a: int, f: int, classes: Sequence[str]) -> Case:
    matched = images[i]
    lines = []
    if a >= 0:
        lines.append(f"annotated {classes[matched.truth[a]]}")
    if f >= 0:
        best = int(matched.guess[f])
        lines.append(f"found {classes[best]}, P {matched.probabilities[f, best]:.2f}")
    return Case(i, a, f, (*lines, matched.image.name))


def _crops(images: Sequence[MatchedImage], cases: Sequence[Case]) -> list[Crop]:
    """A crop per case; every image is opened once."""
    done: dict[int, Crop] = {}
    for i in sorted({case.image for case in cases}):
        matched = images[i]
        slide = matched.image.opened().with_mpp(matched.mpp)
        outlines = None if matched.image.outlines is None else matched.image.outlines()
        for k, case in enumerate(cases):
            if case.image != i:
                continue
            xy = (
                matched.xy[case.predicted]
                if case.predicted >= 0
                else matched.image.points_xy[case.annotated]
            )
            window = Window.around(xy, matched.mpp, 1.0).held(slide.size)
            rgb = slide.read_rgb(window.corner, (window.side, window.side), 1.0)
            x, y = np.rint(xy).astype(int).tolist()
            title = f"{matched.image.name} at x {x}, y {y}"
            drawn = sorted(_outlines(matched, case, window, outlines), key=lambda one: one.width)
            done[k] = Crop([rgb], drawn, title, case.lines)
    return [done[k] for k in range(len(cases))]


def _outlines(
    matched: MatchedImage, case: Case, window: Window, outlines: NDArray[np.int32] | None
) -> Iterator[Outline]:
    """Outlines of all annotated and predicted nuclei in a crop, the case itself thick."""
    for a in _within(matched.image.points_xy, window):
        points = None if outlines is None else _contour(outlines, a, window)
        if points is None:
            points = _marker(matched.image.points_xy[a], matched.mpp)
        yield _outline(window.inside(points), ANNOTATED_COLOUR, a == case.annotated)
    for f in _within(matched.xy, window):
        points = matched.contour(f).astype(np.float64)
        if len(points) == 0:
            points = _marker(matched.xy[f], matched.mpp)
        yield _outline(window.inside(points), FOUND_COLOUR, f == case.predicted)


def _outline(points: Floats, colour: str, main: bool) -> Outline:
    return Outline(points, colour, 2.2) if main else Outline(points, colour, 1, 0.75)


def _within(xy: Floats, window: Window) -> list[int]:
    inside = window.inside(xy)
    places: list[int] = np.flatnonzero(((inside > 0) & (inside < window.side)).all(1)).tolist()
    return places


def _contour(outlines: NDArray[np.int32], index: int, window: Window) -> Floats | None:
    """(n, 2) outline of an annotated nucleus through the centres of its border pixels."""
    left, top = (max(0, int(corner) - window.side) for corner in window.corner)
    part = outlines[top : top + 3 * window.side, left : left + 3 * window.side] == index + 1
    contours, _ = cv2.findContours(
        part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    if not contours:
        return None
    points = max(contours, key=len)[:, 0].astype(np.float64)
    return np.asarray(points + np.array([left, top]) + 0.5, np.float64)
