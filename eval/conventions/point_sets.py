"""Points of a set of images, paired and counted by the conventions of a preset."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regdata.arrays import Floats, Ints
from regdata.errors import RegdataError
from regdata.eval.conventions.presets import PointPreset
from regdata.eval.metrics import Partners, match_assigned, match_greedily, pair_named, tally


@dataclass(frozen=True, kw_only=True)
class PointOptions:
    """What is known of the points besides their coordinates, and how intervals are drawn.

    Attributes
    ----------
    classes
        Classes that are reported, also if they do not occur; all that occur by default.
    n_images
        Images 0..n - 1 exist, also those without a point.
    mpp
        µm per unit of the coordinates; pixels at 40x by default.
    slides
        Slide (or patient) of each image: bootstrap draws are of slides, and presets of scope
        `slide` need it.
    alternatives
        For each of the N annotated points, classes that are right too, beside its own.
    probabilities
        (M, K) float, of each predicted point for the K `classes`, for the scores of paired points
        (preset regdata).
    size
        Width and height of an image, for the chance level; by default the extent of its points,
        at least the median of the images.
    chance_draws, draws, seed
        Random point sets behind the chance level (fewer of very many points), bootstrap draws,
        and the seed of both.
    """

    classes: Sequence[int] | None = None
    n_images: int = 0
    mpp: float = 0.25
    slides: Mapping[int, str] | Sequence[str] | None = None
    alternatives: Sequence[Collection[int]] | None = None
    probabilities: NDArray[np.floating[Any]] | None = None
    size: tuple[float, float] | None = None
    chance_draws: int = 20
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Side:
    """Annotated or predicted points.

    Attributes
    ----------
    image, label
        (N,) int64, index into the images and into the classes; a label below 0 is no class.
    xy
        (N, 2) float64, in the unit of the coordinates.
    score
        (N,) float64, NaN for annotated points.
    """

    image: Ints
    xy: Floats
    label: Ints
    score: Floats


@dataclass(frozen=True, kw_only=True)
class PointSets:
    """Annotated and predicted points of a set of images.

    Attributes
    ----------
    images
        Their numbers, ascending.
    slide
        (images,) name of the slide of each.
    classes
        All that occur, ascending; `reported` are those whose scores are reported.
    radius
        In the unit of the coordinates.
    """

    truth: Side
    guess: Side
    images: tuple[float, ...]
    slide: tuple[str, ...]
    classes: tuple[int, ...]
    reported: tuple[int, ...]
    radius: float
    alternatives: Sequence[Collection[int]] | None = None
    probabilities: Floats | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(f"{image:.17g}" for image in self.images)


def point_sets(
    gt: ArrayLike, pred: ArrayLike, rules: PointPreset, options: PointOptions
) -> PointSets:
    """Checked and sorted points of two tables.

    Parameters
    ----------
    gt, pred
        (N, 4) float, image, x, y, class; (M, 5) float, image, x, y, class, score.
    """
    a, b = _table(gt, 4, "image, x, y, class"), _table(pred, 5, "image, x, y, class, score")
    alternatives, probabilities = _extras(options, len(a), len(b))
    if rules.tie == "position":
        order, other = np.lexsort(a.T[[3, 2, 1, 0]]), np.lexsort((-b[:, 4], *b.T[[3, 2, 1, 0]]))
        a, b = a[order], b[other]
        alternatives = [alternatives[i] for i in order] if alternatives is not None else None
        probabilities = probabilities[other] if probabilities is not None else None
    if (b[:, 3] < 0).any():
        raise RegdataError("expected classes from 0 on of predicted points, got one below 0")
    images = np.unique(np.concatenate([a[:, 0], b[:, 0], np.arange(options.n_images)]))
    images = images if len(images) else np.zeros(1)  # nothing anywhere: one empty image
    requested = [] if options.classes is None else list(options.classes)
    present = np.unique(np.concatenate([a[:, 3], b[:, 3], requested])).astype(int)
    classes = np.union1d(present[present >= 0], [0] if rules.empty == "phantom" else []).astype(int)
    reported = requested if options.classes is not None else present[present >= 0].tolist()
    return PointSets(
        truth=_side(a, images, classes),
        guess=_side(b, images, classes),
        images=tuple(images.tolist()),
        slide=_slides(images, options, rules),
        classes=tuple(classes.tolist()),
        reported=tuple(int(c) for c in reported),
        radius=rules.radius / options.mpp if rules.unit == "um" else rules.radius,
        alternatives=alternatives,
        probabilities=probabilities,
    )


def confusions(sets: PointSets, rules: PointPreset) -> NDArray[np.int64]:
    """(images, K + 1, K + 1) int64, confusion matrix of each image, see `ImageCounts`."""
    together, free = partners(sets, rules)
    return tally(together, len(sets.classes), free, len(sets.images))


def partners(sets: PointSets, rules: PointPreset) -> tuple[Partners, NDArray[np.bool_]]:
    """Pairs of points, and (M,) bool, which predicted points are false positives."""
    truth, guess = sets.truth, sets.guess
    if rules.empty == "phantom":
        zero = sets.classes.index(0)
        truth, guess = (_with_phantoms(s, len(sets.images), zero) for s in (truth, guess))
    pairs, free = _pair(truth, guess, sets, rules)
    label = _resolved(truth.label, guess.label, pairs, sets)
    return Partners(label, guess.label, pairs, truth.image, guess.image), free


def _pair(
    truth: Side, guess: Side, sets: PointSets, rules: PointPreset
) -> tuple[Ints, NDArray[np.bool_]]:
    """(P, 2) pairs, and (M,) bool, which predicted points are false positives."""
    a, b = (_apart(side, sets, rules) for side in (truth, guess))
    if rules.matcher == "optimal":
        return pair_named(a, truth.label >= 0, b, sets.radius)
    if rules.matcher == "assigned":
        pairs = _assigned(a, b, sets.radius)
    elif rules.matcher == "by score":
        order = np.argsort(-guess.score, kind="stable")
        pairs = match_greedily(b, a, sets.radius, order, rules.single)[:, ::-1]
    else:
        pairs = match_greedily(a, b, sets.radius, np.arange(len(a)), rules.single)
    free = np.ones(len(b), bool)
    free[pairs[:, 1]] = False
    return pairs, free


def _apart(side: Side, sets: PointSets, rules: PointPreset) -> Floats:
    """(N, 3) x, y, and a third axis along which groups lie too far apart to be paired."""
    group = scopes(sets, rules)[side.image]
    if rules.class_aware:
        group = group * (len(sets.classes) + 1) + side.label + 1
    return np.column_stack([side.xy, group * (4 * sets.radius + 1)])


def scopes(sets: PointSets, rules: PointPreset) -> Ints:
    """(images,) int64, number of the frame of each image; points of one frame can be paired."""
    if rules.scope == "image":
        return np.arange(len(sets.images))
    return np.unique(np.array(sets.slide, str), return_inverse=True)[1].astype(np.int64)


def _assigned(a: Floats, b: Floats, radius: float) -> Ints:
    matches = [np.zeros((0, 2), np.int64)]
    for group in np.intersect1d(a[:, 2], b[:, 2]):
        here, there = np.flatnonzero(a[:, 2] == group), np.flatnonzero(b[:, 2] == group)
        pairs = match_assigned(a[here, :2], b[there, :2], radius)
        matches.append(np.column_stack([here[pairs[:, 0]], there[pairs[:, 1]]]))
    return np.concatenate(matches)


def _with_phantoms(side: Side, images: int, label: int) -> Side:
    """A point at (0, 0) in every image without one."""
    bare = np.setdiff1d(np.arange(images), side.image)
    return Side(
        np.concatenate([side.image, bare]),
        np.concatenate([side.xy, np.zeros((len(bare), 2))]),
        np.concatenate([side.label, np.full(len(bare), label)]),
        np.concatenate([side.score, np.zeros(len(bare))]),
    )


def _resolved(truth: Ints, guess: Ints, pairs: Ints, sets: PointSets) -> Ints:
    """Classes of annotated points; that of the partner where it is right too."""
    if sets.alternatives is None:
        return truth
    label = truth.copy()
    for i, j in pairs.tolist():
        if i < len(sets.alternatives) and sets.classes[guess[j]] in sets.alternatives[i]:
            label[i] = guess[j]
    return label


def _extras(
    options: PointOptions, annotated: int, predicted: int
) -> tuple[Sequence[Collection[int]] | None, Floats | None]:
    """Alternatives and probabilities of single points, checked."""
    others, given = options.alternatives, options.probabilities
    if others is not None and len(others) != annotated:
        raise RegdataError(f"expected alternatives of {annotated} points, got {len(others)}")
    if given is None:
        return others, None
    shape = (predicted, 0 if options.classes is None else len(options.classes))
    if np.shape(given) != shape:
        raise RegdataError(
            f"expected probabilities of {predicted} points for the classes= that name their "
            f"columns, {shape}, got {np.shape(given)}"
        )
    return others, np.asarray(given, np.float64)


def _table(values: ArrayLike, columns: int, names: str) -> Floats:
    table = np.asarray(values, np.float64)
    if table.size == 0:
        return np.zeros((0, columns))
    if table.ndim != 2 or table.shape[1] != columns or not np.isfinite(table).all():
        raise RegdataError(f"expected rows of finite numbers {names}, got shape {table.shape}")
    return table


def _side(table: Floats, images: Floats, classes: Ints) -> Side:
    label = table[:, 3].astype(np.int64)
    place = np.searchsorted(classes, label)
    return Side(
        np.searchsorted(images, table[:, 0]),
        table[:, 1:3],
        np.where(label < 0, -1, place),
        table[:, 4] if table.shape[1] > 4 else np.full(len(table), np.nan),
    )


def _slides(images: Floats, options: PointOptions, rules: PointPreset) -> tuple[str, ...]:
    """Slide of each image, by default the image itself."""
    slides = options.slides
    if slides is None:
        if rules.scope == "slide":
            raise RegdataError("scope slide needs slides=: the slide of each image")
        return tuple(f"{image:.17g}" for image in images.tolist())
    try:
        return tuple(str(slides[int(image)]) for image in images.tolist())
    except (KeyError, IndexError) as error:
        raise RegdataError(f"slides= names no slide for image {error}") from error
