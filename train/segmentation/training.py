"""Training a segmentation network by a recipe: `regdata train-segmentation`."""

import csv
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed

from regdata.annotated import AnnotatedNuclei
from regdata.cellvit.networks import CellViT
from regdata.files import Progress, replacing, silent
from regdata.paths import StrPath
from regdata.train.segmentation.nuclei import open_crops, prefetch
from regdata.train.segmentation.recipe import Recipe
from regdata.train.segmentation.trainer import Trainer, new_trainer, processes, train_step

_log = logging.getLogger(__name__)

Check = Callable[[CellViT, Sequence[AnnotatedNuclei]], Mapping[str, float]]
"""Scores a network on held-out images."""
_EVERY = 20  # steps whose mean loss is one row of the metrics


def export(network: CellViT, path: Path) -> None:
    """Write the weights in half precision, with their config, as safetensors.

    Vectors stay float32: they cost nothing, and variances of batch norm go beyond what half
    precision holds.
    """
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous().clone()
        for name, value in network.state_dict().items()
    }
    with replacing(path) as part:
        save_file(state, part, metadata={"regdata": network.config.model_dump_json()})


def train_segmentation(
    recipe: Recipe,
    folder: StrPath,
    device: torch.device,
    check: Check | None = None,
    progress: Progress = silent,
) -> Path:
    """Path of the trained weights; a run in `folder` is resumed, and goes to its last step.

    Started by `torchrun`, every process draws crops of its own and gradients are shared; the
    first process writes.

    Parameters
    ----------
    recipe
        The recipe of the run.
    folder
        Takes `checkpoint.pt`, `metrics.csv`, `recipe.json` and, in the end and at every
        checkpoint, `model.safetensors`.
    check
        Scores of the averaged network on the held-out images, written to the metrics.

    Returns
    -------
    Path
        `model.safetensors`.

    Raises
    ------
    RegdataError
        The sources, the files of weights or the folder's checkpoint do not fit.
    """
    folder = Path(folder)
    rank, world = processes()
    config = recipe.network.config().model_copy(update={"name": recipe.name})
    crops, held_out = open_crops(
        recipe.sources, recipe.crop, config, recipe.augment, recipe.balance
    )
    watched = [image for images in held_out for image in images]
    with _together(world, device):
        trainer = new_trainer(recipe, config, device)
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            trainer.load(checkpoint)
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / "recipe.json") as part:
                part.write_text(recipe.model_dump_json(indent=2))
        metrics = Metrics(folder / "metrics.csv", trainer.step) if rank == 0 else None
        steps = range(trainer.step, recipe.schedule.steps)
        for batch in prefetch(crops, recipe.batch, recipe.seed, steps, rank):
            terms = train_step(trainer, batch)
            progress(trainer.step / recipe.schedule.steps)
            if metrics is not None:
                metrics.add(trainer.step, terms)
                _now_and_then(trainer, metrics, folder, check, watched)
    return folder / "model.safetensors"


def forget(folder: StrPath) -> None:
    """Remove the files of a run from its folder, so that the next one starts anew."""
    for name in ("checkpoint.pt", "metrics.csv", "recipe.json", "model.safetensors"):
        (Path(folder) / name).unlink(missing_ok=True)


def _now_and_then(
    trainer: Trainer,
    metrics: "Metrics",
    folder: Path,
    check: Check | None,
    watched: Sequence[AnnotatedNuclei],
) -> None:
    """Write scores and checkpoints at the steps that are due."""
    recipe, last = trainer.recipe, trainer.step == trainer.recipe.schedule.steps
    if check is not None and watched and (last or trainer.step % recipe.check_every == 0):
        metrics.scores(trainer.step, check(trainer.average, watched))
    if last or trainer.step % recipe.save_every == 0:
        metrics.flush()
        trainer.save(folder / "checkpoint.pt")
        export(trainer.average, folder / "model.safetensors")


class Metrics:
    """Losses and scores of a run as a table: step, name, value.

    Parameters
    ----------
    path
        A CSV file; rows after `step`, of steps that are done again, are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._rows = [row for row in _read(path) if int(row[0]) <= step]
        self._recent: list[Mapping[str, float]] = []
        self._since = time.perf_counter()
        self.flush()

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        """Add the terms of one step's loss; their means are written every few steps."""
        self._recent.append(terms)
        if step % _EVERY:
            return
        spent = (time.perf_counter() - self._since) / len(self._recent)
        for name in self._recent[0]:
            mean = sum(terms[name] for terms in self._recent) / len(self._recent)
            self._rows.append((str(step), f"loss/{name}", f"{mean:.5f}"))
        self._rows.append((str(step), "seconds", f"{spent:.3f}"))
        self._recent, self._since = [], time.perf_counter()
        self.flush()

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Add the scores on the held-out images."""
        self._rows += [(str(step), f"held out/{k}", f"{v:.5f}") for k, v in scores.items()]
        _log.info("%d %s", step, " ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        self._since = time.perf_counter()
        self.flush()

    def flush(self) -> None:
        """Write the table."""
        with replacing(self._path) as part, part.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("step", "name", "value"))
            writer.writerows(self._rows)


def _read(path: Path) -> list[tuple[str, ...]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [tuple(row) for row in list(csv.reader(file))[1:]]


@contextmanager
def _together(world: int, device: torch.device) -> Iterator[None]:
    """The group of processes that `torchrun` started, if there are several."""
    if world == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
