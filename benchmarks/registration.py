"""Registration of simulated pairs in random poses, and refusal of wrong pairs.

    python benchmarks/registration.py [POSES] [SIDE]

Each section is turned by a random angle, mirrored half the time, scaled by 0.97-1.03 and restained
at 0.325 or 0.65 µm/px, once without elastic warp (so that an affine map can be exact) and once with
the default 1.2 µm rms. Wrong pairs are the H&E of one section and the IF of another.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.demo import centroids
from regdata.errors import RegdataError
from regdata.registration.register import Registration, register
from regdata.simulate.restain import Restained, restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import Tissue, render_tissue
from regdata.slide import Box, Slide

MPP = 0.25


def slide_of(planes: NDArray[np.generic], mpp: float, channels: tuple[str, ...]) -> Slide:
    """An image in memory as a slide."""

    def pixels(level: int, box: Box, wanted: tuple[int, ...]) -> NDArray[np.generic]:
        return planes[list(wanted), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (planes.shape[2], planes.shape[1])
    return Slide(Path("simulated"), (size,), mpp, channels, planes.dtype, pixels)


def posed(tissue: Tissue, seed: int, elastic_um: float) -> Restained:
    """The IF of a section in a random pose."""
    rng = np.random.default_rng(seed)
    settings = RestainSettings(
        rotation_deg=float(rng.uniform(0, 360)),
        mirror=seed % 2 == 1,
        scale=float(rng.uniform(0.97, 1.03)),
        if_mpp=(0.325, 0.65)[seed // 2 % 2],
        elastic_um=elastic_um,
    )
    positive = np.zeros(len(tissue.kinds), bool)
    return restain(tissue.rgb, tissue.instances, positive, settings, seed)


def run(tissue: Tissue, moving: Restained) -> tuple[Registration | None, float]:
    """Register; None when refused. Also the seconds it took."""
    he = slide_of(tissue.rgb.transpose(2, 0, 1), MPP, ("red", "green", "blue"))
    if_ = slide_of(moving.image, moving.mpp, moving.channels)
    start = time.perf_counter()
    try:
        return register(he, if_, 0), time.perf_counter() - start
    except RegdataError:
        return None, time.perf_counter() - start


def main() -> None:
    """Print a table."""
    poses = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 1536
    tissues = [render_tissue((side, side), seed) for seed in range(5)]
    print("| elastic, µm rms | accepted | median error, µm | worst median | p90 | s each |")
    print("|---|---|---|---|---|---|")
    for elastic_um in (0.0, 1.2):
        medians, tails, seconds = [], [], []
        for seed in range(poses):
            tissue = tissues[seed % len(tissues)]
            moving = posed(tissue, seed, elastic_um)
            found, spent = run(tissue, moving)
            seconds.append(spent)
            if found is None:
                continue
            um = centroids(tissue.instances) * MPP
            error = found.he_to_if.points(um) - moving.he_to_if.points(um)
            distance = np.linalg.norm(error, axis=1)
            medians.append(float(np.median(distance)))
            tails.append(float(np.percentile(distance, 90)))
        print(
            f"| {elastic_um} | {len(medians)} of {poses} | {np.median(medians):.2f} | "
            f"{max(medians):.2f} | {np.median(tails):.2f} | {np.mean(seconds):.1f} |",
            flush=True,
        )
    pairs = list(itertools.permutations(range(len(tissues)), 2))
    others = [posed(tissue, seed, 1.2) for seed, tissue in enumerate(tissues)]
    wrong = [run(tissues[a], others[b])[0] for a, b in pairs]
    print(f"\nwrong pairs refused: {sum(found is None for found in wrong)} of {len(pairs)}")


if __name__ == "__main__":
    main()
