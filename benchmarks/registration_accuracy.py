"""Errors, seconds and memory of every method on pairs with a known map."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from known_warp import CASES, MPP, Known, field, render, slide_of
from measured import Measured, measured
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files.progress import silent
from regdata.registration.backends.choice import BACKENDS
from regdata.registration.pose.density import dapi_density, he_density, working_mpp
from regdata.registration.quality.assessment import tile_quality
from regdata.registration.quality.table import TileQuality
from regdata.registration.registration import register
from regdata.slides.slide import Slide
from regdata.transforms.transform import Transform

Floats = NDArray[np.float64]

BAD_UM = 1.0  # mean error over the nuclei of a tile above which it is bad
FEWEST = 3  # nuclei that tell the error of a tile
MUST = {"A": (0.42, 0.90, np.inf), "B": (0.47, 1.03, np.inf), "C": (0.80, 2.0, 10.0)}


@dataclass(frozen=True)
class Stored:
    """A pair of slides in files of their own, for another process."""

    folder: Path
    if_mpp: float

    @classmethod
    def of(cls, known: Known, folder: Path) -> "Stored":
        """Write a pair."""
        for name, slide in (("he", known.he), ("if", known.if_)):
            np.save(folder / f"{name}.npy", slide.overview(1.0))
        return cls(folder, known.if_.known_mpp("if_mpp"))

    def slides(self) -> tuple[Slide, Slide]:
        """The pair in memory."""
        he, if_ = (np.load(self.folder / f"{name}.npy") for name in ("he", "if"))
        rgb = ("red", "green", "blue")
        return slide_of(he, MPP, rgb), slide_of(if_, self.if_mpp, ("DAPI",))


def best_affine(known: Known) -> Transform:
    """The affine map nearest to the truth at the nuclei."""
    um = known.nuclei_um[known.inside]
    ones = np.column_stack([um, np.ones(len(um))])
    matrix = np.eye(3)
    matrix[:2] = np.linalg.lstsq(ones, known.truth.points(um), rcond=None)[0].T
    return Transform.affine(matrix)


def ours(stored: Stored) -> Transform:
    """Default."""
    return register(*stored.slides(), 0).he_to_if


def ours_affine(stored: Stored) -> Transform:
    """Without the non-rigid part."""
    return register(*stored.slides(), 0, affine_only=True).he_to_if


def backend(name: str, start: Floats, stored: Stored) -> Transform:
    """Another program, from the affine map that ours found."""
    he, if_ = stored.slides()
    mpp = working_mpp(he, if_)
    fixed, moving = he_density(he, mpp), dapi_density(if_, 0, mpp)
    return BACKENDS[name].deform(fixed, moving, start, silent)


METHODS: Mapping[str, Callable[[Stored, Floats], Measured]] = {
    "best affine": lambda stored, start: Measured(None, 0, 0, 0),
    "ours affine": lambda stored, start: measured(ours_affine, stored),
    "ours": lambda stored, start: measured(ours, stored),
    "elastix": lambda stored, start: measured(backend, "elastix", start, stored),
    "simpleitk": lambda stored, start: measured(backend, "simpleitk", start, stored),
}


@dataclass(frozen=True)
class Tiles:
    """What the tiles of one pair claim and what is true, those with nuclei enough to tell."""

    claimed_um: Floats
    true_um: Floats
    accepted: NDArray[np.bool_]

    @classmethod
    def of(cls, known: Known, he_to_if: Transform, quality: TileQuality) -> "Tiles":
        """Compare."""
        um = known.nuclei_um[known.inside]
        _, columns = quality.shape
        column, row = (um // quality.tile_um).astype(int).T
        count, total = (
            np.bincount(row * columns + column, weights, len(quality.status))
            for weights in (None, known.errors_um(he_to_if))
        )
        kept = (count >= FEWEST) & (quality.status != "empty")
        true = total[kept] / count[kept]
        return cls(quality.error_um[kept], true, quality.status[kept] == "accept")

    def row(self) -> str:
        """Cells of a Markdown table."""
        bad = int((self.true_um[self.accepted] > BAD_UM).sum())
        all_bad = int((self.true_um > BAD_UM).sum())
        small = self.true_um[self.claimed_um < 1]
        related = np.corrcoef(self.claimed_um, self.true_um)[0, 1]
        return (
            f"{len(self.true_um)} | {all_bad} | {self.accepted.sum()} | {bad} | {related:.2f} | "
            f"{(small < 2).mean():.1%} |"
        )


def print_cases(cases: tuple[str, ...], seeds: int, only: tuple[str, ...]) -> None:
    """Print a table of errors and costs, and one of the tiles."""
    print("| case | method | seed | median / p90 (max), px | CPU s | wall s | peak MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    tiles: dict[str, list[Tiles]] = {name: [] for name in cases}
    for seed in range(seeds):
        rgb = field(seed, held_out=True)
        for case in cases:
            known = render(rgb, CASES[case], seed)
            found = print_methods(f"| {case} |", known, seed, only)
            if found is not None:
                quality = tile_quality(known.he, known.if_, 0, found)
                tiles[case].append(Tiles.of(known, found, quality))
    print_tiles({name: rows for name, rows in tiles.items() if rows})


def print_methods(before: str, known: Known, seed: int, only: tuple[str, ...]) -> Transform | None:
    """Print a row per method; what ours found."""
    start = best_affine(known)
    found = None
    with tempfile.TemporaryDirectory() as folder:
        stored = Stored.of(known, Path(folder))
        for method in only:
            try:
                cost = METHODS[method](stored, start.matrix)
            except RegdataError as error:
                print(f"{before} {method} | {seed} | {error} | | | |", flush=True)
                continue
            he_to_if = cost.result or start
            if method == "ours affine":
                start = he_to_if
            if method == "ours":
                found = he_to_if
            px = known.errors_um(he_to_if) / MPP
            errors = f"{np.median(px):.2f} / {np.percentile(px, 90):.2f} ({px.max():.1f})"
            costs = f"{cost.cpu_s:.1f} | {cost.wall_s:.1f} | {cost.peak_mb:.0f} |"
            print(
                f"{before} {method} | {seed} | {errors} | {costs if cost.result else '| | |'}",
                flush=True,
            )
    return found


def print_tiles(tiles: Mapping[str, list[Tiles]]) -> None:
    """What the tiles of ours claim: per case, and all."""
    print(f"\nTiles of 64 µm with {FEWEST} nuclei or more; bad: mean error > {BAD_UM:g} µm\n")
    print("| case | tiles | bad | accepted | bad accepted | correlation | < 1 µm truly < 2 µm |")
    print("|---|---|---|---|---|---|---|")
    everything = [one for rows in tiles.values() for one in rows]
    for name, rows in {**tiles, "all": everything}.items():
        joined = Tiles(
            *(
                np.concatenate([getattr(one, part) for one in rows])
                for part in ("claimed_um", "true_um", "accepted")
            )
        )
        print(f"| {name} | {joined.row()}", flush=True)


def print_pixels(seeds: int) -> None:
    """Print errors of case A at three pixel sizes of the IF."""
    print("| IF, µm/px | seed | median / p90 (max), µm | median over that at 0.25 | CPU s |")
    print("|---|---|---|---|---|", flush=True)
    for seed in range(seeds):
        rgb, equal = field(seed, held_out=True), np.nan
        for if_mpp in (MPP, 0.325, 0.65):
            known = render(rgb, replace(CASES["A"], if_mpp=if_mpp), seed)
            with tempfile.TemporaryDirectory() as folder:
                cost = measured(ours, Stored.of(known, Path(folder)))
            um = known.errors_um(cost.result)
            median, p90 = np.percentile(um, [50, 90]).tolist()
            equal = median if if_mpp == MPP else equal
            print(
                f"| {if_mpp} | {seed} | {median:.3f} / {p90:.3f} ({um.max():.2f}) | "
                f"{median / equal:.2f} | {cost.cpu_s:.1f} |",
                flush=True,
            )
