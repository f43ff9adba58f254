"""One training run of a segmentation network: its state, a step, and what it writes."""

import copy
import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from regdata.cellvit.networks import CellViT, CellViTConfig, fast_precision, load_encoder
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.train.segmentation.losses import cellvit_loss
from regdata.train.segmentation.recipe import Optimiser, Recipe, Schedule


def learning_rate(step: int, base: float, schedule: Schedule) -> float:
    """Learning rate at a step, counted from 0.

    Examples
    --------
    >>> learning_rate(999, 1.0, Schedule(kind="exponential", warm_up=0, gamma=0.5, every=500))
    0.5
    """
    if step < schedule.warm_up:
        return base * (step + 1) / schedule.warm_up
    if schedule.kind == "constant":
        return base
    if schedule.kind == "exponential":
        return base * float(schedule.gamma ** (step // schedule.every))
    start = schedule.steps * (1 - schedule.decay)
    if step < start:
        return base
    share = (step - start) / (schedule.steps - start)
    return base * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(kw_only=True)
class Trainer:
    """The state of a run.

    Attributes
    ----------
    network
        The network, or its copy that shares gradients with other processes.
    average
        Moving average of its weights; what is saved as the result.
    scaler
        Keeps fp16 gradients from vanishing; does nothing for other types.
    step
        Steps done.
    """

    network: CellViT
    live: nn.Module
    average: CellViT
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    recipe: Recipe
    device: torch.device
    step: int = 0

    def save(self, path: Path) -> None:
        """Write a checkpoint, complete or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "recipe": self.recipe.identity(),
            "step": self.step,
        }
        with replacing(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint.

        Raises
        ------
        RegdataError
            It is of another recipe.
        """
        state = torch.load(path, weights_only=True, map_location=self.device)
        if state["recipe"] != self.recipe.identity():
            raise RegdataError(
                f"{path} is of a run with another recipe; restore the recipe, or choose "
                "another `output=`"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]


def new_trainer(recipe: Recipe, config: CellViTConfig, device: torch.device) -> Trainer:
    """A fresh run: weights from the recipe's seed, or from the files it names."""
    torch.manual_seed(recipe.seed)
    network = CellViT(config)
    if recipe.network.encoder is not None:
        load_encoder(network, recipe.network.encoder)
    if recipe.network.start is not None:
        _start_from(network, recipe.network.start)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fp16 = device.type == "cuda" and fast_precision(device) == torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=fp16 and recipe.precision == "auto")
    optimiser = _adamw(network, recipe.optimiser)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Trainer(
        network=network,
        live=_shared(network),
        average=average,
        optimiser=optimiser,
        scaler=scaler,
        recipe=recipe,
        device=device,
    )


def _start_from(network: CellViT, path: Path) -> None:
    from regdata.cellvit.networks import check_entries, load_checkpoint

    state = load_checkpoint(path).state_dict()
    check_entries(network.state_dict(), state, path)
    network.load_state_dict(state)


def _adamw(network: CellViT, settings: Optimiser) -> torch.optim.Optimizer:
    """AdamW without weight decay of vectors, which are norms and biases."""
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decay, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def processes() -> tuple[int, int]:
    """Rank of this process and number of all, as torchrun sets them."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def _shared(network: CellViT) -> nn.Module:
    if processes()[1] == 1:
        return network
    # frozen encoders and absent labels leave parameters without a gradient now and then
    return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)


def train_step(trainer: Trainer, batch: dict[str, Tensor]) -> dict[str, float]:
    """Terms of the loss of one step, after which weights and average are updated.

    Parameters
    ----------
    batch
        As of `CropSampler.batch`.
    """
    recipe, schedule = trainer.recipe, trainer.recipe.schedule
    for group in trainer.optimiser.param_groups:
        group["lr"] = learning_rate(trainer.step, recipe.optimiser.lr, schedule)
    trainer.network.encoder.requires_grad_(trainer.step >= schedule.freeze)
    trainer.live.train()
    batch = {name: value.to(trainer.device, non_blocking=True) for name, value in batch.items()}
    image = batch["image"].contiguous(memory_format=torch.channels_last)
    dtype = fast_precision(trainer.device) if recipe.precision == "auto" else torch.float32
    with torch.autocast(trainer.device.type, dtype, enabled=dtype != torch.float32):
        output = trainer.live(image)
    terms = cellvit_loss(output, batch, recipe.loss)
    trainer.optimiser.zero_grad()
    loss = torch.stack(list(terms.values())).sum()
    trainer.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    trainer.scaler.unscale_(trainer.optimiser)
    norm = nn.utils.clip_grad_norm_(trainer.network.parameters(), recipe.optimiser.clip)
    if trainer.scaler.is_enabled():
        trainer.scaler.step(trainer.optimiser)
        trainer.scaler.update()
    elif torch.isfinite(norm):  # one bad batch must not spoil the run
        trainer.optimiser.step()
    _average(trainer)
    trainer.step += 1
    return {name: value.item() for name, value in terms.items()}


@torch.no_grad()
def _average(trainer: Trainer) -> None:
    """Update the average; its rate warms up, so that the random start is forgotten."""
    keep = min(trainer.recipe.optimiser.ema, (1 + trainer.step) / (10 + trainer.step))
    live = trainer.network.state_dict()
    for name, value in trainer.average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(live[name], 1 - keep)
        else:
            value.copy_(live[name])
