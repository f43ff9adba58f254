"""Runs of `train_segmentation` on made-up images, with a tiny network."""

import csv
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from networks import TINY

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.annotated.sources import SourceConfig
from regdata.cellvit.networks.checkpoint import load_checkpoint
from regdata.cellvit.networks.network import CellViT
from regdata.errors import RegdataError
from regdata.train.segmentation import training as segmentation
from regdata.train.segmentation.nuclei import open_crops, prefetch
from regdata.train.segmentation.recipe import (
    NetworkChoice,
    Optimiser,
    Recipe,
    Schedule,
    read_recipe,
)
from regdata.train.segmentation.trainer import Trainer, learning_rate, new_trainer, train_step
from regdata.train.segmentation.training import export, train_segmentation

CPU = torch.device("cpu")
NETWORK = NetworkChoice(
    settings={"encoder": TINY.encoder.model_dump(), "decoder": TINY.decoder.model_dump()}
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Discs on pink, with classes in one source and without in the other."""
    rng = np.random.default_rng(1)
    rows, columns = np.indices((96, 96))
    for folder, names in {"a": ("one", "two", "held_1"), "b": ("three",)}.items():
        for part in ("images", "labels"):
            (tmp_path / folder / part).mkdir(parents=True)
        for name in names:
            instances = np.zeros((96, 96), np.int32)
            for i, (x, y) in enumerate(rng.uniform(10, 86, (12, 2)), 1):
                instances[(columns - x) ** 2 + (rows - y) ** 2 < 49] = i
            image = np.where(instances[..., None] > 0, (90, 40, 120), (230, 180, 220))
            cv2.imwrite(
                str(tmp_path / folder / "images" / f"{name}.png"), image[..., ::-1].astype(np.uint8)
            )
            labels = {"inst_map": instances}
            if folder == "a":
                labels["type_map"] = (instances > 0).astype(np.int32) * 2
            np.savez(tmp_path / folder / "labels" / f"{name}.npz", **labels)
    return tmp_path


def recipe(data: Path, **changes: Any) -> Recipe:
    sources = (
        SourceConfig(path=data / "a", share=0.7, held_out=("held_",)),
        SourceConfig(path=data / "b", share=0.3, hv_weight=0.5),
    )
    settings: dict[str, Any] = {
        "name": "tiny",
        "batch": 2,
        "crop": 64,
        "save_every": 10,
        "check_every": 10,
        "precision": "float32",
        "network": NETWORK,
        "schedule": Schedule(steps=20, warm_up=5),
        "sources": sources,
    }
    return Recipe(**(settings | changes))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(steps=1000, warm_up=100, decay=0.5), {0: 0.01, 99: 1, 499: 1, 750: 0.5}),
        (Schedule(kind="constant", warm_up=2, steps=9), {0: 0.5, 1: 1, 8: 1}),
        (Schedule(kind="exponential", warm_up=0, gamma=0.5, every=10), {9: 1, 10: 0.5, 25: 0.25}),
    ],
)
def test_learning_rate(schedule: Schedule, expected: dict[int, float]) -> None:
    for step, rate in expected.items():
        assert learning_rate(step, 1.0, schedule) == pytest.approx(rate)


def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(data)
    monkeypatch.setattr(segmentation, "_EVERY", 5)
    train_segmentation(chosen, data / "straight", CPU)

    def interrupt(trainer: Trainer, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        if trainer.step == 13:
            raise KeyboardInterrupt
        return train_step(trainer, batch)

    with monkeypatch.context() as patched:
        patched.setattr(segmentation, "train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_segmentation(chosen, data / "broken", CPU)
    train_segmentation(chosen, data / "broken", CPU)
    straight, broken = (
        load_checkpoint(data / name / "model.safetensors").state_dict()
        for name in ("straight", "broken")
    )
    assert all(torch.equal(straight[key], broken[key]) for key in straight)
    assert losses(data / "straight") == losses(data / "broken")


def losses(folder: Path) -> list[list[str]]:
    with (folder / "metrics.csv").open() as file:
        return [row for row in csv.reader(file) if row[1].startswith("loss/")]


def test_held_out_images_are_scored_and_written(data: Path) -> None:
    asked: list[tuple[list[str], bool]] = []

    def check(network: CellViT, images: Sequence[AnnotatedNuclei]) -> Mapping[str, float]:
        asked.append(([image.name for image in images], network.training))
        return {"dice": 0.5}

    weights = train_segmentation(recipe(data), data / "run", CPU, check)
    assert [name for name, _ in asked] == [["held_1"], ["held_1"]]
    assert not any(training for _, training in asked)
    rows = (data / "run" / "metrics.csv").read_text().splitlines()
    assert "10,held out/dice,0.50000" in rows
    assert "20,held out/dice,0.50000" in rows
    assert load_checkpoint(weights).config.name == "tiny"
    kept = Recipe.model_validate_json((data / "run" / "recipe.json").read_text())
    assert kept.model_dump_json() == recipe(data).model_dump_json()


def test_loss_falls(data: Path) -> None:
    chosen = recipe(data, optimiser=Optimiser(lr=3e-3), batch=4)
    config = chosen.network.config()
    crops, _ = open_crops(chosen.sources, 64, config, chosen.augment)
    trainer = new_trainer(chosen, config, CPU)
    terms = [train_step(trainer, batch)["np"] for batch in prefetch(crops, 4, 1, range(60))]
    assert np.mean(terms[-10:]) < 0.7 * np.mean(terms[:5])


def test_a_frozen_encoder_stays_until_it_thaws(data: Path) -> None:
    chosen = recipe(data, schedule=Schedule(steps=6, warm_up=0, freeze=3))
    config = chosen.network.config()
    crops, _ = open_crops(chosen.sources, 64, config, chosen.augment)
    trainer = new_trainer(chosen, config, CPU)
    seen = []
    for batch in prefetch(crops, 2, 1, range(6)):
        before = trainer.network.encoder.pos_embed.clone()  # type: ignore[operator,union-attr]
        train_step(trainer, batch)
        seen.append(torch.equal(trainer.network.encoder.pos_embed, before))  # type: ignore[arg-type]
    assert seen == [True] * 3 + [False] * 3


def test_a_run_goes_on_when_its_data_have_moved(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train_segmentation(recipe(data), folder, CPU)
    moved = tmp_path / "elsewhere" / data.name
    shutil.copytree(data, moved)
    assert train_segmentation(recipe(moved), folder, CPU).exists()


def test_a_checkpoint_of_another_recipe_is_refused(data: Path) -> None:
    train_segmentation(recipe(data), data / "run", CPU)
    with pytest.raises(RegdataError, match="another recipe"):
        train_segmentation(recipe(data, seed=8), data / "run", CPU)


def test_a_run_can_start_from_a_network(data: Path) -> None:
    torch.manual_seed(4)
    donor = CellViT(TINY)
    export(donor, data / "donor.safetensors")
    network = NETWORK.model_copy(update={"start": data / "donor.safetensors"})
    trainer = new_trainer(recipe(data, network=network), TINY, CPU)
    for name, value in donor.state_dict().items():
        assert torch.allclose(trainer.network.state_dict()[name], value, atol=1e-2), name


TORCHRUN = """
import sys
from pathlib import Path
import torch
from regdata.train.segmentation.recipe import Recipe
from regdata.train.segmentation.training import train_segmentation
recipe = Recipe.model_validate_json(Path(sys.argv[1]).read_text())
train_segmentation(recipe, Path(sys.argv[2]), torch.device("cpu"))
"""


def test_two_processes_train_one_network(data: Path) -> None:
    (data / "recipe.json").write_text(recipe(data).model_dump_json())
    (data / "run.py").write_text(TORCHRUN)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += [str(data / "run.py"), str(data / "recipe.json"), str(data / "both")]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    train_segmentation(recipe(data), data / "one", CPU)
    both, one = (
        load_checkpoint(data / name / "model.safetensors").state_dict() for name in ("both", "one")
    )
    assert all(torch.isfinite(value).all() for value in both.values())
    assert not torch.equal(both["encoder.pos_embed"], one["encoder.pos_embed"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = ", "is no TOML file"),
        ("name = 'x'", "sources: Field required"),
        ("invented = 1\n[[sources]]\npath = 'a'", "invented: Extra inputs"),
        ("[schedule]\nsteps = 0\n[[sources]]\npath = 'a'", "schedule.steps: Input should be"),
    ],
)
def test_bad_recipes_get_one_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RegdataError) as caught:
        read_recipe(tmp_path / "r.toml")
    assert told in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (NetworkChoice(variant="resnet"), "expected network.variant to be one of default"),
        (NetworkChoice(settings={"invented": 1}), "network.settings.invented"),
    ],
)
def test_unknown_networks_get_one_line(network: NetworkChoice, told: str) -> None:
    with pytest.raises(RegdataError, match=told):
        network.config()


def test_the_recipes_that_come_with_the_package_are_understood() -> None:
    paths = sorted((Path(__file__).parents[3] / "docs" / "recipes").glob("*.toml"))
    assert [path.stem for path in paths] == [
        "cellvit-256-pannuke",
        "default-second",
        "default",
        "histoplus-pannuke",
    ]
    for path in paths:
        chosen = read_recipe(path, Path("/data"))
        assert chosen.sources[0].path.is_relative_to("/data")
        assert chosen.network.config().token_width in (256, 384, 768)
