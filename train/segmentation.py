"""Train the built-in segmentation network: `python -m regdata.train.segmentation --data DIR`."""

import copy
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from regdata.cellvit.config import CellViTConfig
from regdata.cellvit.network import CellViT
from regdata.train.losses import cellvit_loss
from regdata.train.nuclei import SOURCES, prefetch, split

log = logging.getLogger(__name__)

SAVE_EVERY = 200
"""Steps between checkpoints."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run; the defaults made the built-in model."""

    steps: int = 2300
    batch: int = 8
    crop: int = 256
    lr: float = 1e-3
    warm_up: int = 150
    decay: float = 0.4
    weight_decay: float = 0.01
    ema: float = 0.998
    seed: int = 7


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, constant, then a cosine to zero over the last `decay` of the steps."""
    start = recipe.steps * (1 - recipe.decay)
    if step < recipe.warm_up:
        return recipe.lr * (step + 1) / recipe.warm_up
    if step < start:
        return recipe.lr
    share = (step - start) / (recipe.steps - start)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * share))


@dataclass
class Trainer:
    """The state of a run: network, averaged network, optimiser and the step reached."""

    network: CellViT
    average: CellViT
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Write a checkpoint to resume from; complete or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def new_trainer(config: CellViTConfig, recipe: Recipe) -> Trainer:
    """A fresh network from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    network = CellViT(config).to(memory_format=torch.channels_last)
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decay, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.85, 0.95))
    return Trainer(network, copy.deepcopy(network).eval(), optimiser)


def train_step(trainer: Trainer, batch: dict[str, Tensor], recipe: Recipe) -> dict[str, float]:
    """One step of the optimiser and of the average; returns the loss terms."""
    for group in trainer.optimiser.param_groups:
        group["lr"] = learning_rate(trainer.step, recipe)
    trainer.network.train()
    image = batch["image"].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = trainer.network(image)
    terms = cellvit_loss(output, batch)
    trainer.optimiser.zero_grad()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(trainer.network.parameters(), 1.0)
    if torch.isfinite(norm):  # one bad batch must not spoil the run
        trainer.optimiser.step()
    # the average warms up with the run, so that it forgets the random start
    keep = min(recipe.ema, (1 + trainer.step) / (10 + trainer.step))
    with torch.no_grad():
        live = trainer.network.state_dict()
        for name, value in trainer.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(live[name], 1 - keep)
            else:
                value.copy_(live[name])
    trainer.step += 1
    return {name: value.item() for name, value in terms.items()}


def export(network: CellViT, path: Path) -> None:
    """Write fp16 weights with their config as safetensors.

    Vectors stay float32: they cost nothing, and variances of batch norm go beyond what half
    precision holds.
    """
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous().clone()
        for name, value in network.state_dict().items()
    }
    save_file(state, path, metadata={"regdata": network.config.model_dump_json()})


def run(data: Path, folder: Path, recipe: Recipe) -> None:
    """Train, resuming from `folder`, until the recipe's last step; writes `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    trainer = new_trainer(CellViTConfig(), recipe)
    if checkpoint.exists():
        trainer.load(checkpoint)
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2))
    sampler, _ = split(data, SOURCES, recipe.crop)
    start = time.perf_counter()
    steps = range(trainer.step, recipe.steps)
    for batch in prefetch(sampler, recipe.batch, recipe.seed, steps):
        terms = train_step(trainer, batch, recipe)
        if trainer.step % 20 == 0:
            spent = (time.perf_counter() - start) / (trainer.step - steps.start)
            log.info("%d %s %.2f s/step", trainer.step, _format(terms), spent)
        if trainer.step % SAVE_EVERY == 0 or trainer.step == recipe.steps:
            trainer.save(checkpoint)
            export(trainer.average, folder / "model.safetensors")


def _format(terms: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in terms.items())


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--steps", default=Recipe.steps, show_default=True)
@click.option("--seed", default=Recipe.seed, show_default=True)
def main(data: Path, output: Path, steps: int, seed: int) -> None:
    """Train the built-in segmentation network on annotated nuclei; a rerun resumes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(data, output, Recipe(steps=steps, seed=seed))


if __name__ == "__main__":
    main()
