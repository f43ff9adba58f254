from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from regdata.cellvit.config import CellViTConfig, Decoder, StemEncoder
from regdata.cellvit.weights import load_model
from regdata.errors import RegdataError
from regdata.train import segmentation
from regdata.train.augment import Sample, augment, random_crop
from regdata.train.nuclei import Source, load_samples, prefetch, split
from regdata.train.segmentation import Recipe, learning_rate, new_trainer, run, train_step

TINY = CellViTConfig(
    encoder=StemEncoder(width=32, depth=1, heads=2, window=4, stem_widths=(8, 8, 8)),
    decoder=Decoder(image=(8, 8), skips=((8,), (8,), (8,)), branch=(8, 8, 8, 8)),
)
SOURCES = (Source("a", share=0.7, hv_weight=1.0, held_out=("held_",)), Source("b", 0.3, 0.5))


def write_images(folder: Path, names: list[str], typed: bool) -> None:
    rng = np.random.default_rng(len(names))
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    rows, columns = np.indices((96, 96))
    for name in names:
        instances = np.zeros((96, 96), np.int32)
        for i, (x, y) in enumerate(rng.uniform(10, 86, (12, 2)), 1):
            instances[(columns - x) ** 2 + (rows - y) ** 2 < 49] = i
        image = np.where(instances[..., None] > 0, (90, 40, 120), (230, 180, 220)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image[..., ::-1])
        labels = {"inst_map": instances}
        if typed:
            labels["type_map"] = (instances > 0).astype(np.uint8) * 2
        np.savez(folder / "labels" / f"{name}.npz", **labels)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_images(tmp_path / "a", ["one", "two", "held_1"], typed=True)
    write_images(tmp_path / "b", ["three"], typed=False)
    return tmp_path


def test_held_out_images_are_not_drawn(data: Path) -> None:
    sampler, held_out = split(data, SOURCES, 64)
    assert [len(pool) for pool in sampler.samples] == [2, 1]
    assert len(held_out) == 1


def test_a_batch_says_what_it_has_labels_for(data: Path) -> None:
    sampler, _ = split(data, SOURCES, 64)
    batch = sampler.batch(40, np.random.default_rng(0))
    assert batch["image"].shape == (40, 3, 64, 64)
    assert batch["image"].abs().max() <= 1
    typed = batch["type_weight"] == 1
    assert 15 < typed.sum() < 37
    assert (batch["hv_weight"][typed] == 1).all()
    assert (batch["hv_weight"][~typed] == 0.5).all()
    assert (batch["types"][~typed] == 0).all()


def test_batches_depend_on_seed_and_step_alone(data: Path) -> None:
    sampler, _ = split(data, SOURCES, 64)
    first = list(prefetch(sampler, 2, 5, range(4)))
    resumed = list(prefetch(sampler, 2, 5, range(2, 4)))
    assert torch.equal(first[2]["image"], resumed[0]["image"])
    assert not torch.equal(first[1]["image"], first[2]["image"])


def test_augmentation_moves_image_and_labels_together() -> None:
    image = np.full((96, 96, 3), 255, np.uint8)
    instances = np.zeros((96, 96), np.int32)
    instances[20:50, 60:80] = 7
    image[instances == 7] = 0
    rng = np.random.default_rng(3)
    for _ in range(20):
        crop = random_crop(Sample(image, instances, (instances > 0).astype(np.uint8)), 64, rng)
        dark = crop.image[..., 0] < 128
        assert (dark != (crop.instances == 7)).mean() < 0.03
        assert ((crop.types == 1) == (crop.instances == 7)).all()
        assert augment(Sample(image, instances, image[..., 0]), 64, rng).image.dtype == np.uint8


def test_learning_rate() -> None:
    recipe = Recipe(steps=1000, lr=1.0, warm_up=100, decay=0.5)
    assert learning_rate(0, recipe) == 0.01
    assert learning_rate(99, recipe) == 1.0
    assert learning_rate(499, recipe) == 1.0
    assert learning_rate(750, recipe) == pytest.approx(0.5)
    assert learning_rate(999, recipe) < 0.001


def test_it_learns_and_resumes_exactly(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "SOURCES", SOURCES)
    monkeypatch.setattr(segmentation, "CellViTConfig", lambda: TINY)
    monkeypatch.setattr(segmentation, "SAVE_EVERY", 10)
    torch.use_deterministic_algorithms(True)
    recipe = Recipe(steps=20, batch=2, crop=64, warm_up=5)
    run(data, data / "straight", recipe)

    def interrupt(trainer: segmentation.Trainer, *rest: object) -> dict[str, float]:
        if trainer.step == 13:
            raise KeyboardInterrupt
        return train_step(trainer, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(segmentation, "train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(data, data / "broken", recipe)
    monkeypatch.setattr(segmentation, "train_step", train_step)
    run(data, data / "broken", recipe)
    torch.use_deterministic_algorithms(False)
    straight, broken = (
        load_model(data / name / "model.safetensors").network.state_dict()
        for name in ("straight", "broken")
    )
    assert all(torch.equal(straight[key], broken[key]) for key in straight)


def test_loss_falls(data: Path) -> None:
    recipe = Recipe(steps=60, batch=4, crop=64, warm_up=5, lr=3e-3)
    trainer = new_trainer(TINY, recipe)
    sampler, _ = split(data, SOURCES, 64)
    losses = [
        train_step(trainer, batch, recipe)["np"] for batch in prefetch(sampler, 4, 1, range(60))
    ]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match="has no images/"):
        load_samples(tmp_path)
