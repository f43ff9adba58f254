"""How fast a segmentation network is trained, and how much of a step goes into its crops.

    python benchmarks/train_segmentation.py [docs/recipes/default.toml] [--steps 12] [--data DIR]

Real images from REGDATA_DATA or --data. Rows: CPU in float32, in bf16 where the hardware has it,
and a GPU if there is one. "waiting" is the share of the time in which training stood still for a
batch; "crops alone" the time one thread needs to make a batch, over the time of a step.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import data_folder
from tiny import parsed, shortened_recipe

from regdata.cellvit.networks.weights import fast_precision
from regdata.train.segmentation.nuclei import CropSampler, open_crops, prefetch
from regdata.train.segmentation.recipe import Recipe, read_recipe
from regdata.train.segmentation.trainer import new_trainer, train_step

RECIPE = Path(__file__).parents[1] / "docs" / "recipes" / "default.toml"
WARM_UP = 3


@dataclass(frozen=True)
class Pace:
    """Seconds of some steps: all, and those spent waiting for a batch."""

    steps: int
    total: float
    waiting: float


def pace(recipe: Recipe, crops: CropSampler, device: torch.device, steps: int) -> Pace:
    """Train for `steps` steps after a few that are not counted."""
    trainer = new_trainer(recipe, crops.network, device)
    batches = prefetch(crops, recipe.batch, recipe.seed, range(WARM_UP + steps))
    for _ in range(WARM_UP):
        train_step(trainer, next(batches))
    start, waiting = time.perf_counter(), 0.0
    for batch in batches:
        arrived = time.perf_counter()
        train_step(trainer, batch)  # returns numbers, so a GPU has finished
        done = time.perf_counter()
        waiting -= done - arrived
    total = time.perf_counter() - start
    return Pace(steps, total, total + waiting)


def seconds_of_crops(recipe: Recipe, crops: CropSampler, batches: int = 10) -> float:
    """Of one batch, in one thread with nothing beside it."""
    rng = np.random.default_rng(0)
    crops.batch(recipe.batch, rng)
    start = time.perf_counter()
    for _ in range(batches):
        crops.batch(recipe.batch, rng)
    return (time.perf_counter() - start) / batches


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", type=Path, default=RECIPE)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--data", type=Path)
    arguments = parsed(parser, steps=1)
    recipe = read_recipe(arguments.recipe, arguments.data or data_folder())
    if arguments.tiny:
        recipe = shortened_recipe(recipe)
    # weights do not change the pace, and their files need not be there
    network = recipe.network.model_copy(update={"encoder": None, "start": None})
    recipe = recipe.model_copy(update={"network": network})
    crops, _ = open_crops(
        recipe.sources, recipe.crop, recipe.network.config(), recipe.augment, recipe.balance
    )
    alone = seconds_of_crops(recipe, crops)
    rows = [("cpu", "float32")]
    if fast_precision(torch.device("cpu")) != torch.float32:
        rows.append(("cpu", "auto"))
    if torch.cuda.is_available():
        rows += [("cuda", "float32"), ("cuda", "auto")]
    print("device  precision  images/s  ratio  waiting  crops alone")
    first = None
    for name, precision in rows:
        device = torch.device(name)
        chosen = recipe.model_copy(update={"precision": precision})
        found = pace(chosen, crops, device, arguments.steps)
        rate = recipe.batch * found.steps / found.total
        first = first or rate
        dtype = fast_precision(device) if precision == "auto" else torch.float32
        told = str(dtype).removeprefix("torch.")
        shares = found.waiting / found.total, alone * found.steps / found.total
        print(f"{name:7s} {told:10s} {rate:8.2f}  {rate / first:5.2f}", end="  ")
        print("{:7.1%}  {:11.1%}".format(*shares))


if __name__ == "__main__":
    main()
