"""Pairs of slides with a known map, seen through maps that are wrong by a known field."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from data import data_folder, load_one
from known_warp import CASES, field, render, slide_of
from numpy.typing import NDArray
from scipy import ndimage

from regdata.annotated.outlined import find_annotated
from regdata.registration.quality.assessment import assess
from regdata.registration.quality.correction import second_look
from regdata.registration.quality.measure import Grid, Measures, measure
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.slides.slide import Slide
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform

MPP, TILE_UM, KNOT_UM, LOST_UM = 0.25, 64.0, 8.0, 25.0
HARD = {"lost": 0.4, "psf_um": 0.75, "photons": 60.0, "haze": 0.4, "deep": 0.3}
KINDS = ("good", "any", "failing", "lost")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A pair of slides and the true map between them."""

    name: str
    he: Slide
    if_: Slide
    truth: Transform


@dataclass(frozen=True)
class Case:
    """A scene seen through a wrong map: what was measured and what is true, per tile.

    Attributes
    ----------
    error_um, shift_um
        Mean length of the error, and the shift that would undo its mean.
    after_um
        Mean length of the error after a second look.
    """

    name: str
    grid: Grid
    measures: Measures
    error_um: Floats
    shift_um: Floats
    after_um: Floats


def as_transform(points: Callable[[Floats], Floats], matrix: Floats, size_um: Floats) -> Transform:
    """A map as a displacement sampled every 8 µm, then its affine part; right to 0.01 µm."""
    columns, rows = (int(side / KNOT_UM) + 9 for side in size_um)
    origin = np.full(2, -4 * KNOT_UM)
    axes = np.meshgrid(
        origin[0] + np.arange(columns) * KNOT_UM, origin[1] + np.arange(rows) * KNOT_UM
    )
    knots = np.stack(axes, 2)
    back = np.linalg.inv(matrix)
    u = points(knots) @ back[:2, :2].T + back[:2, 2] - knots
    shifts = Displacement.through(u.transpose(2, 0, 1), origin, KNOT_UM)
    return Transform.displaced(shifts).then(Transform.affine(matrix))


def stitched(seed: int, held_out: bool, case: str, side: int) -> Scene:
    """A field of real tissue, its IF rendered."""
    known = render(field(seed, held_out, side), CASES[case], seed + 50)
    size = np.full(2, side * MPP)
    truth = as_transform(known.truth.points, known.truth.matrix, size)
    return Scene(f"stitched {case}", known.he, known.if_, truth)


def restained(
    name: str, rgb: NDArray[np.uint8], instances: NDArray[np.int32], hard: bool, seed: int
) -> Scene:
    """Simulated or annotated tissue, restained."""
    rng = np.random.default_rng(seed)
    settings = RestainSettings(
        rotation_deg=float(rng.uniform(0, 360)),
        mirror=seed % 2 == 1,
        if_mpp=(0.325, 0.65)[seed // 2 % 2],
    )
    settings = replace(settings, **HARD) if hard else settings  # type: ignore[arg-type]
    moving = restain(rgb, instances, np.zeros(instances.max(), bool), settings, seed)
    he = slide_of(rgb.transpose(2, 0, 1), MPP, ("red", "green", "blue"))
    if_ = slide_of(moving.image, moving.mpp, moving.channels)
    warp = moving.he_to_if
    size = np.array(instances.shape[::-1]) * MPP
    return Scene(name, he, if_, as_transform(warp.points, warp.matrix, size))


def scenes(held_out: bool) -> list[tuple[Callable[..., Scene], tuple[object, ...]]]:
    """How to make every scene; other images and seeds for checking than for fitting."""
    base = 500 if held_out else 0
    work: list[tuple[Callable[..., Scene], tuple[object, ...]]] = []
    for seed in range(2):
        work += [(stitched, (base + seed, held_out, case, 2048)) for case in CASES]
    for seed in range(4):
        work.append((drawn, (base + seed, seed % 2 == 1)))
    for index in range(4):
        work.append(
            (annotated, ("consep/test" if held_out else "consep/train", index, base + index))
        )
    return work


def drawn(seed: int, hard: bool) -> Scene:
    """A simulated section."""
    tissue = render_tissue((1536, 1536), seed + 20)
    name = "simulated, hard" if hard else "simulated"
    return restained(name, tissue.rgb, tissue.instances, hard, seed)


def annotated(folder: str, index: int, seed: int) -> Scene:
    """An annotated image of the data folder."""
    image = load_one(find_annotated(data_folder() / folder)[3 * index])
    hard = index % 2 == 1
    name = "CoNSeP, hard" if hard else "CoNSeP"
    return restained(name, image.rgb, image.instances, hard, seed)


def wrong_field(kind: str, size_um: Floats, rng: np.random.Generator) -> Displacement:
    """A smooth field of errors, µm."""
    step = 16.0
    if kind == "lost":  # by more than is looked for: no shift is right
        return Displacement.through(np.full((2, 2, 2), LOST_UM), np.zeros(2), step)
    columns, rows = (int(side / step) + 9 for side in size_um)
    wave = rng.uniform(60, 200) / step

    def smooth(sigma: float) -> Floats:
        noise = ndimage.gaussian_filter(rng.standard_normal((rows, columns)), sigma, mode="wrap")
        return np.asarray((noise - noise.mean()) / noise.std())

    field_ = np.stack([smooth(wave), smooth(wave)])
    if kind == "any":
        strength = 6 * np.clip(0.5 + 0.5 * smooth(wave), 0, 1)
    else:
        strength = np.full((rows, columns), rng.uniform(0.1, 0.8))
    field_ = field_ * strength / np.sqrt(2)
    if kind == "failing":
        for _ in range(3):
            centre = rng.uniform(4, (rows - 4, columns - 4))
            away = np.hypot(*(np.indices((rows, columns)).T - centre).T).T * step
            bump = np.exp(-((away / rng.uniform(50, 110)) ** 4))
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(3, 15)
            field_ += length * bump * np.array([np.cos(angle), np.sin(angle)])[:, None, None]
    while True:
        made = Displacement.through(field_, np.full(2, -4 * step), step)
        if made.min_jacobian() > 0.4:
            return made
        field_ = field_ * 0.9


def truth_of(grid: Grid, wrong: Displacement) -> tuple[Floats, Floats]:
    """Mean length of the true error of every tile, and the shift that would undo its mean.

    The wrong map is the true one after a step by `wrong`; the right place is found by undoing it.
    """
    at = probes(grid)
    away = wrong.displacement(at)
    undo = wrong.undone(at) - at
    return np.linalg.norm(away, axis=2).mean(1), undo.mean(1)


def probes(grid: Grid) -> Floats:
    """Points all over every tile, (N, 64, 2) µm."""
    step = ((np.arange(8) + 0.5) / 8 - 0.5) * grid.tile_um
    return grid.centres_um[:, None] + np.stack(np.meshgrid(step, step), 2).reshape(-1, 2)


def cases(work: tuple[Callable[..., Scene], tuple[object, ...]]) -> list[Case]:
    """A scene through one wrong map of every kind."""
    cv2.setNumThreads(1)
    make, arguments = work
    scene = make(*arguments)
    size = np.array(scene.he.size) * MPP
    grid = Grid.over(scene.he, TILE_UM)
    found = []
    for number, kind in enumerate(KINDS):
        seed = seed_of(arguments) + number
        wrong = wrong_field(kind, size, np.random.default_rng(seed))
        he_to_if = Transform.displaced(wrong).then(scene.truth)
        measures = measure(scene.he, scene.if_, 0, he_to_if, grid)
        better = second_look(assess(grid, measures), he_to_if)
        at = probes(grid)
        after = np.linalg.norm(better.points(at) - scene.truth.points(at), axis=2).mean(1)
        truth = truth_of(grid, wrong)
        found.append(Case(f"{scene.name}, {kind}", grid, measures, *truth, after))
    return found


def seed_of(arguments: tuple[object, ...]) -> int:
    """A number that is the same in every run."""
    return sum(ord(letter) * (k + 1) for k, letter in enumerate(repr(arguments)))
