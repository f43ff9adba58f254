"""Whether the pose is found: any rotation, mirrored or not, part of a section, a wrong scale."""

import re
import time
from dataclasses import dataclass, replace

import numpy as np
from known_warp import CASES, Case, Section, field, posed, stained

from regdata.errors import RegdataError
from regdata.registration.registration import Registration, register
from regdata.slides.slide import Slide

FOUND_UM = 20.0  # median error of a pose that is found
SCALES = (0.8, 0.9, 1.1, 1.2)
COARSE = (0.05, 0.3)  # progress when the coarse step begins and when it has ended


@dataclass(frozen=True)
class Attempt:
    """A pair registered without its non-rigid part.

    Attributes
    ----------
    found
        None when refused.
    why
        Of the refusal.
    coarse_s
        CPU seconds of the coarse step.
    """

    found: Registration | None
    why: str
    coarse_s: float

    @property
    def z(self) -> float:
        """Standard deviations above chance; NaN where no pose was found."""
        if self.found:
            return self.found.z
        said = re.search(r"([\d.-]+) standard deviations", self.why)
        return float(said[1]) if said else np.nan


def attempted(he: Slide, if_: Slide) -> Attempt:
    """Try to register."""
    times: list[float] = []

    def progress(share: float) -> None:
        if len(times) < 2 and share >= COARSE[len(times)] - 1e-9:
            times.append(time.process_time())

    try:
        found, why = register(he, if_, 0, progress, affine_only=True), ""
    except RegdataError as error:
        found, why = None, error.message
    return Attempt(found, why, times[1] - times[0] if len(times) == 2 else np.nan)


def pose(case: Case, seed: int) -> Case:
    """A random pose."""
    rng = np.random.default_rng(seed)
    return replace(
        case,
        degrees=float(rng.uniform(0, 360)),
        scale=float(rng.uniform(0.97, 1.03)),
        mirror=bool(rng.random() < 0.5),
        share=1 / 3 if seed % 3 == 0 else 1.0,
    )


def print_poses(cases: tuple[str, ...], count: int) -> None:
    """Print how many poses are found."""
    rgb = field(0, held_out=True)
    _print_head("case")
    for name in cases:
        section = stained(rgb, CASES[name], np.random.default_rng(0))
        _print_found(name, section, [pose(CASES[name], seed) for seed in range(count)])


def print_scales(count: int) -> None:
    """Print whether wrong scales are found with half of the section in view."""
    _print_head("scale")
    section = stained(field(0, held_out=True), CASES["A"], np.random.default_rng(0))
    for scale in SCALES:
        poses = [replace(pose(CASES["A"], seed), scale=scale, share=0.5) for seed in range(count)]
        _print_found(f"{scale:g}", section, poses)


def _print_head(what: str) -> None:
    print(
        f"| {what} | found | median errors, µm: middle, worst | coarse step, CPU s: mean, ", end=""
    )
    print("longest | least z | not found |\n|---|---|---|---|---|---|", flush=True)


def _print_found(name: str, section: Section, poses: list[Case]) -> None:
    medians, seconds, z, lost = [], [], [], []
    for seed, case in enumerate(poses):
        known = posed(section, case, np.random.default_rng(1000 + seed))
        attempt = attempted(known.he, known.if_)
        seconds.append(attempt.coarse_s)
        z.append(attempt.z)
        if attempt.found is None:
            lost.append(f"{seed}: z {attempt.z:.1f}, refused")
            continue
        medians.append(float(np.median(known.errors_um(attempt.found.he_to_if))))
        if medians[-1] > FOUND_UM:
            lost.append(f"{seed}: z {attempt.z:.1f}, {medians[-1]:.0f} µm")
    print(
        f"| {name} | {len(poses) - len(lost)} of {len(poses)} | {np.median(medians):.2f}, "
        f"{max(medians):.2f} | {np.mean(seconds):.1f}, {max(seconds):.1f} | {np.nanmin(z):.1f} | "
        f"{'; '.join(lost)} |",
        flush=True,
    )
