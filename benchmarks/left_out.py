"""What a set costs that the network has never seen: TNBC with and without TNBC in training.

    python benchmarks/left_out.py [--steps 350] [--data DIR] [--keep DIR]

Two trainings by docs/recipes/default.toml with fewer steps: one with patients 1 to 6 of TNBC, one
without TNBC; both are scored on patients 7 to 11. Means over images with bootstrap intervals, and
that of the difference image by image. --keep leaves the runs there, so that a stop costs nothing.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from data import data_folder
from numpy.typing import NDArray
from tiny import parsed, shortened_recipe

from regdata.annotated.outlined import find_annotated
from regdata.cellvit.networks.weights import load_model
from regdata.eval.metrics.image_score import score_image
from regdata.eval.metrics.intervals import Estimate, estimates, image_weights, weighted_means
from regdata.eval.segmentation import find_nuclei
from regdata.train.segmentation.recipe import Recipe, read_recipe
from regdata.train.segmentation.training import train_segmentation

RECIPE = Path(__file__).parents[1] / "docs" / "recipes" / "default.toml"
HELD_OUT = ("07_", "08_", "09_", "10_", "11_")
NAMES = ("dice", "bpq", "f1")


def shortened(base: Recipe, steps: int, with_tnbc: bool) -> Recipe:
    """The recipe with fewer steps, and with TNBC's first patients or none."""
    sources = []
    for source in base.sources:
        if source.path.name != "tnbc":
            sources.append(source)
        elif with_tnbc:
            sources.append(source.model_copy(update={"held_out": HELD_OUT}))
    schedule = base.schedule.model_copy(update={"steps": steps, "warm_up": min(100, steps // 4)})
    optimiser = base.optimiser.model_copy(update={"ema": 0.98})
    update = {"sources": tuple(sources), "schedule": schedule, "optimiser": optimiser}
    return base.model_copy(update=update)


def scores(weights: Path, folder: Path) -> NDArray[np.float64]:
    """(images, 3) Dice, bPQ and detection F1 on the held-out patients."""
    model = load_model(weights, "cpu")
    rows = []
    for outlined in find_annotated(folder):
        if outlined.name.startswith(HELD_OUT):
            image = outlined.read()
            metrics = score_image(image, find_nuclei(model, image.rgb, 0.25), 12.0).metrics()
            rows.append([metrics[name] for name in NAMES])
    return np.array(rows, np.float64)


def told(values: NDArray[np.float64]) -> tuple[Estimate, ...]:
    """Means over images with their intervals."""
    return estimates(weighted_means(values, image_weights(len(values), 1000, 0)))


def fixed(value: float | None) -> str:
    """Three decimals; a dash where a score is undefined."""
    return "     -" if value is None else f"{value:6.3f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parsed(parser, steps=2)
    data = arguments.data or data_folder()
    base = read_recipe(RECIPE, data)
    if arguments.tiny:
        base = shortened_recipe(base)
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, with_tnbc in (("with TNBC", True), ("without", False)):
            folder = (arguments.keep or Path(temporary)) / name.replace(" ", "-")
            recipe = shortened(base, arguments.steps, with_tnbc)
            weights = train_segmentation(recipe, folder, torch.device("cpu"))
            found[name] = scores(weights, data / "tnbc")
    found["difference"] = found["without"] - found["with TNBC"]
    print(f"{len(found['without'])} images     Dice                   bPQ                    F1")
    for name, values in found.items():
        cells = (f"{fixed(e.value)} [{fixed(e.low)}, {fixed(e.high)}]" for e in told(values))
        print(f"{name:12s}", *cells)


if __name__ == "__main__":
    main()
