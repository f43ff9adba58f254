"""Pairs that must be refused, and the published restained sample."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from known_warp import CASES, field, posed, slide_of, stained
from numpy.typing import NDArray
from registration_poses import attempted, pose

from regdata.registration.bend.deformation import pulled
from regdata.registration.bend.nuclear_map import NuclearMap
from regdata.registration.pose.density import Density
from regdata.registration.registration import register
from regdata.slides.slide import Box, Slide
from regdata.transforms.transform import Transform

Plane = NDArray[np.float32]

SIDE = 2496  # px of the simulated wrong pairs
REAL = {
    "lung": ("deepliif_restained/Lung1_Hematoxylin", "deepliif_restained/Lung1_DAPI", 0.25),
    "bladder": ("deepliif_restained/Bladder1_IHC", "deepliif_restained/Bladder1_DAPI", 0.25),
    "crypts": ("orion_crypts/he", "orion_crypts/if", 0.42),
}
BLUR_PX, BORDER_PX = 1.0, 16


def print_wrong() -> None:
    """Print how many wrong pairs are refused, and what was nearest to being accepted."""
    print("| pairs | refused | largest z | accepted |\n|---|---|---|---|", flush=True)
    for name, pairs in (("simulated", simulated_pairs()), ("real", real_pairs())):
        found = [(label, attempted(he, if_)) for label, he, if_ in pairs]
        accepted = [label for label, attempt in found if attempt.found is not None]
        largest = np.nanmax([attempt.z for _, attempt in found])
        print(
            f"| {name} | {len(found) - len(accepted)} of {len(found)} | {largest:.1f} | "
            f"{', '.join(accepted)} |",
            flush=True,
        )


def simulated_pairs() -> Iterator[tuple[str, Slide, Slide]]:
    """H&E and IF of fields that have no image in common, in random poses."""
    fields = [field(seed, held_out, SIDE) for held_out in (True, False) for seed in (1, 2)]
    knowns = []
    for seed, rgb in enumerate(fields):
        case = CASES["AC"[seed % 2]]
        section = stained(rgb, case, np.random.default_rng(seed))
        for turn in (seed, seed + 7):
            knowns.append((seed, posed(section, pose(case, turn), np.random.default_rng(turn))))
    for he_seed, he in knowns[::2]:
        for if_seed, if_ in knowns:
            if he_seed // 2 != if_seed // 2:
                yield f"{he_seed} with {if_seed}", he.he, if_.if_


def real_pairs() -> Iterator[tuple[str, Slide, Slide]]:
    """H&E of one tissue and DAPI of another, one of them turned and half of them mirrored."""
    names = list(REAL)
    for place, (one, other) in enumerate((a, b) for a in names for b in names if a != b):
        mpp = REAL[one][2]
        he = np.ascontiguousarray(read(REAL[one][0]).transpose(2, 0, 1))
        turned = np.rot90(dapi(REAL[other][1]), place)
        turned = turned[:, ::-1] if place % 2 else turned
        if_ = np.ascontiguousarray(turned)[None]
        yield (
            f"{one} with {other}",
            slide_of(he, mpp, ("red", "green", "blue")),
            slide_of(if_, REAL[other][2], ("DAPI",)),
        )


def print_deepliif() -> None:
    """Print the correlation of darkness and DAPI as published and as registered.

    Pearson's, of 255 minus grey and DAPI, both blurred by one pixel, without a border of 16 px.
    That definition gives the numbers of docs/data.md (0.847 and 0.774 as published) to 0.005.
    """
    print("| sample | as published | affine | registered | median shift, µm |")
    print("|---|---|---|---|---|")
    for name in ("Lung1", "Bladder1"):
        rgb = read(f"deepliif_restained/{name}_Hematoxylin")
        plane = dapi(f"deepliif_restained/{name}_DAPI")
        he = slide_of(np.ascontiguousarray(rgb.transpose(2, 0, 1)), 0.25, ("red", "green", "blue"))
        if_ = slide_of(plane[None], 0.25, ("DAPI",))
        affine = register(he, if_, 0, affine_only=True).he_to_if
        bent = register(he, if_, 0).he_to_if
        agreed = [agreement(rgb, plane, one) for one in (Transform.identity(), affine, bent)]
        grid = np.stack(np.meshgrid(np.arange(5, 125, 5.0), np.arange(5, 125, 5.0)), 2)
        shift = np.median(np.linalg.norm(bent.points(grid) - grid, axis=2))
        print(f"| {name} | {' | '.join(f'{a:.3f}' for a in agreed)} | {shift:.2f} |", flush=True)


def agreement(rgb: NDArray[np.uint8], plane: NDArray[np.uint16], he_to_if: Transform) -> float:
    """Correlation of darkness and warped DAPI, where DAPI is known."""
    height, width = plane.shape
    values = plane.astype(np.float32)
    moving = NuclearMap.of(Density(values, 0.25, np.ones(plane.shape, bool)))
    warped, inside = pulled(moving, he_to_if, Box(0, 0, width, height), 0.25)
    dark = (255 - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    inside[:BORDER_PX] = inside[-BORDER_PX:] = inside[:, :BORDER_PX] = inside[:, -BORDER_PX:] = 0
    a, b = (cv2.GaussianBlur(each, (0, 0), BLUR_PX)[inside > 0] for each in (dark, warped))
    return float(np.corrcoef(a, b)[0, 1])


def read(name: str) -> NDArray[np.uint8]:
    """A picture of the real pairs, RGB."""
    path = Path(data_folder()) / "pairs" / f"{name}.png"
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])


def dapi(name: str) -> NDArray[np.uint16]:
    """The DAPI of a picture, in which it is blue, as 16 bit."""
    return read(name)[..., 2].astype(np.uint16) * 40 + 100
