"""Serial sections of a mouse lung, H&E against immunohistochemistry, with landmarks by hand.

    python benchmarks/serial_sections.py [POSES]

Pictures of 3.5 µm/px, on which no nucleus can be seen. Errors are in px of the pictures, median /
p90, with the median as a share of the diagonal (rTRE) and robustness; the floor is the affine map
fitted to the very landmarks. POSES times each moving picture is also turned at random, and
mirrored half the time. Wrong pairs are of another lesion.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from known_warp import slide_of
from numpy.typing import NDArray
from tiny import parsed

from regdata.errors import RegdataError
from regdata.registration.pose.density import as_fluorescence, dapi_density, he_density
from regdata.registration.serial import posed, register_serial
from regdata.registration.tre import target_registration_error
from regdata.slides.read_image import image_slide
from regdata.slides.slide import Slide
from regdata.transforms.landmarks import fit_landmarks, read_landmarks
from regdata.transforms.transform import Transform

MPP = 0.174 * 20  # ANHIR's lung lesions are scanned at 0.174 µm/px; these are at 5 %
WORKING = 3.5
RIGHT = [("1 HE", "1 proSPC"), ("3 HE", "3 CD31"), ("3 HE", "3 KI67"), ("3 CD31", "3 KI67")]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Section:
    """A picture and its landmarks, level-0 pixels."""

    slide: Slide
    xy: Floats

    @property
    def light(self) -> Slide:
        """As a moving slide."""
        return as_fluorescence(self.slide, "hematoxylin")


def section(picture: Path, landmarks: Path, scale: float) -> Section:
    """Read one; landmarks times `scale` are pixels of the picture."""
    return Section(image_slide(picture).with_mpp(MPP), read_landmarks(landmarks) * scale)


def sections() -> dict[str, Section]:
    """All five."""
    pairs = data_folder() / "pairs"
    one, three = pairs / "birl_lesions", pairs / "cima_lung_lesion3"
    found = {}
    for name in ("HE", "proSPC"):
        stem = one / f"Izd2-29-041-w35_{name}"
        found[f"1 {name}"] = section(stem.with_suffix(".jpg"), stem.with_suffix(".csv"), 1.0)
    for name, file in (("HE", "He"), ("CD31", "CD31-3"), ("KI67", "Ki67-7")):
        stem = f"29-041-Izd2-w35-{file}-les3"
        landmarks = three / f"user-PS_scale-50pc__{stem}.csv"
        found[f"3 {name}"] = section(three / f"{stem}.jpg", landmarks, 0.1)
    return found


def turned(moving: Section, degrees: float, mirror: bool) -> Section:
    """A picture in another pose."""
    a = np.deg2rad(degrees)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    linear = linear @ np.diag([-1.0 if mirror else 1.0, 1.0])
    side = int(np.ceil(np.hypot(*moving.slide.size)))
    shift = side / 2 - linear @ np.array(moving.slide.size) / 2
    rgb = moving.slide.read_rgb((0, 0), moving.slide.size)
    index = np.column_stack([linear, shift - 0.5 + linear @ [0.5, 0.5]])  # of pixel centres
    white = (255.0, 255.0, 255.0)
    image = cv2.warpAffine(rgb, index, (side, side), flags=cv2.INTER_CUBIC, borderValue=white)
    slide = slide_of(image.transpose(2, 0, 1), MPP, ("red", "green", "blue"))
    return Section(slide, moving.xy @ linear.T + shift)


def errors(he: Section, other: Section, he_to_if: Transform) -> str:
    """Errors of one map, in pixels."""
    found = target_registration_error(he.xy, other.xy, he_to_if, MPP, MPP, he.slide.size)
    px = f"{found.median_um / MPP:.1f} / {found.p90_um / MPP:.1f}"
    return f"{px} ({100 * found.median_rtre:.2f} %, R {found.robustness:.2f})"


def row(he: Section, other: Section) -> str:
    """What registering one pair gives, beside no registration and the best affine map."""
    begun = time.process_time()
    found = register_serial(he.slide, other.light, 0)
    spent = time.process_time() - begun
    straight = register_serial(he.slide, other.light, 0, affine_only=True)
    best = fit_landmarks(he.xy * MPP, other.xy * MPP, "affine")
    stages = [Transform.identity(), best, straight.he_to_if, found.he_to_if]
    fields = [step.field for step in found.he_to_if.steps if hasattr(step, "field")]
    det = min((field.min_jacobian() for field in fields), default=1.0)
    r = f"{found.affine_correlation:.2f} to {found.correlation:.2f}"
    numbers = [r, f"{found.z:.1f}", f"{found.margin:.2f}", f"{det:.2f}", f"{spent:.0f}"]
    return " | ".join([*(errors(he, other, each) for each in stages), *numbers])


def median_px(he: Section, other: Section, he_to_if: Transform) -> float:
    """Median error in pixels."""
    apart = he_to_if.points(he.xy * MPP) - other.xy * MPP
    return float(np.median(np.linalg.norm(apart, axis=1))) / MPP


def in_any_pose(known: dict[str, Section], poses: int) -> None:
    """Print a table of pairs whose moving picture is turned."""
    rng = np.random.default_rng(0)
    print("\n| pair | degrees | mirrored | floor | ours | z | margin |")
    print("|" + "---|" * 7)
    for (a, b), turn in product(RIGHT, range(poses)):
        degrees, mirror = float(rng.uniform(0, 360)), turn % 2 == 1
        he, other = known[a], turned(known[b], degrees, mirror)
        try:
            found = register_serial(he.slide, other.light, 0)
        except RegdataError as refusal:
            print(f"| {a} - {b} | {degrees:.0f} | {mirror} | {refusal} |", flush=True)
            continue
        best = fit_landmarks(he.xy * MPP, other.xy * MPP, "affine")
        cells = f"{median_px(he, other, best):.1f} | {median_px(he, other, found.he_to_if):.1f}"
        verdict = f"{found.z:.1f} | {found.margin:.2f}"
        print(f"| {a} - {b} | {degrees:.0f} | {mirror} | {cells} | {verdict} |", flush=True)


def wrong(known: dict[str, Section]) -> None:
    """Print a table of pairs that are none."""
    print("\n| wrong pair | r | z | margin | refused |")
    print("|" + "---|" * 5)
    for a, b in product(("1 HE", "1 proSPC"), ("3 HE", "3 CD31", "3 KI67")):
        he, other = known[a], known[b]
        pose = posed(he_density(he.slide, WORKING), dapi_density(other.light, 0, WORKING))
        said = f"{pose[1].correlation:.2f} | {pose[1].z:.1f} | {pose[2]:.2f}" if pose else "no pose"
        try:
            register_serial(he.slide, other.light, 0, affine_only=True)
            refused = "no"
        except RegdataError:
            refused = "yes"
        print(f"| {a} - {b} | {said} | {refused} |", flush=True)


def main() -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("poses", nargs="?", type=int, default=4)
    arguments = parsed(parser, real_data=True, poses=0)
    poses = arguments.poses
    known = sections()
    print("| pair | before | floor | affine | ours | r | z | margin | det | CPU s |")
    print("|" + "---|" * 10)
    for a, b in RIGHT[:1] if arguments.tiny else RIGHT:
        print(f"| {a} - {b} | {row(known[a], known[b])} |", flush=True)
    if not arguments.tiny:
        in_any_pose(known, poses)
        wrong(known)


if __name__ == "__main__":
    main()
