"""Registration measured on pairs of slides whose true map is known, and on real ones.

    python benchmarks/registration.py cases [--seeds N] [--only METHOD,METHOD] [--cases A,B,C]
    python benchmarks/registration.py pixels [--seeds N]
    python benchmarks/registration.py poses [--count N] [--cases A,C]
    python benchmarks/registration.py scales [--count N]
    python benchmarks/registration.py wrong
    python benchmarks/registration.py deepliif
    python benchmarks/registration.py large [--folder FOLDER] SIDE [SIDE ...]

The simulated pairs are those of known_warp.py on its held-out images, 4240 px a side at
0.25 µm/px. `cases` compares all methods on cases A, B and C: errors at nuclei, seconds, memory,
and what the tiles claim. `pixels` photographs case A with larger pixels. `poses` and `scales` try
the pose alone. `wrong` are pairs that must be refused. `deepliif` is the published restained
sample. `large` writes whole slides below FOLDER, registers them, and deletes them.
"""

import argparse
from pathlib import Path

import known_warp
import registration_accuracy
import registration_large
import registration_poses
import registration_real
from tiny import parsed, simulated_data


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    cases = parts.add_parser("cases")
    cases.add_argument("--seeds", type=int, default=3)
    cases.add_argument("--only", type=_names, default=tuple(registration_accuracy.METHODS))
    cases.add_argument("--cases", type=_names, default=("A", "B", "C"))
    parts.add_parser("pixels").add_argument("--seeds", type=int, default=1)
    poses = parts.add_parser("poses")
    poses.add_argument("--count", type=int, default=24)
    poses.add_argument("--cases", type=_names, default=("A", "C"))
    parts.add_parser("scales").add_argument("--count", type=int, default=3)
    for name in ("wrong", "deepliif"):
        parts.add_parser(name)
    large = parts.add_parser("large")
    large.add_argument("--folder", type=Path)
    large.add_argument("sides", type=int, nargs="+")
    tiny = {"seeds": 1, "count": 1, "cases": ("A",), "only": ("ours",), "sides": [1500]}
    arguments = parsed(parser, real_data=True, **tiny)
    if arguments.tiny:
        known_warp.SIDE = registration_large.SIDE = registration_real.SIDE = 1088
        if arguments.part not in ("wrong", "deepliif"):
            simulated_data()
    _print(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _print(asked: argparse.Namespace) -> None:
    match asked.part:
        case "cases":
            registration_accuracy.print_cases(asked.cases, asked.seeds, asked.only)
        case "pixels":
            registration_accuracy.print_pixels(asked.seeds)
        case "poses":
            registration_poses.print_poses(asked.cases, asked.count)
        case "scales":
            registration_poses.print_scales(asked.count)
        case "wrong":
            registration_real.print_wrong()
        case "deepliif":
            registration_real.print_deepliif()
        case "large":
            registration_large.print_large(asked.sides, asked.folder)


if __name__ == "__main__":
    main()
