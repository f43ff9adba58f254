from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.annotated.sources import Images, SourceConfig
from regdata.cellvit.networks.config import CellViTConfig
from regdata.errors import RegdataError
from regdata.train.segmentation.augment import AugmentConfig
from regdata.train.segmentation.nuclei import CropSampler, image_chances, prefetch
from regdata.train.segmentation.targets import hv_map

NONE = AugmentConfig.none()
SOURCES = (
    SourceConfig(path=Path("a"), share=0.75),
    SourceConfig(path=Path("b"), share=0.25, hv_weight=0.25, mpp=0.5),
)


def image(name: str, types: bool, tissue: int | None = None, value: int = 51) -> AnnotatedNuclei:
    instances = np.zeros((64, 64), np.int32)
    instances[8:24, 8:32] = 1
    kinds = (instances * 2).astype(np.uint8) if types else None
    return AnnotatedNuclei(name, np.full((64, 64, 3), value, np.uint8), instances, kinds, tissue)


def pools() -> tuple[Images, Images]:
    typed = [image("one", True, 3), replace(image("two", True), types=np.zeros((64, 64), np.uint8))]
    return Images.of(typed), Images.of([image("three", False)])


def crops(size: int = 64, network: CellViTConfig = CellViTConfig()) -> CropSampler:  # noqa: B008
    both = pools()
    return CropSampler(both, SOURCES, image_chances(both, SOURCES, 4), size, NONE, network)


def test_a_batch_by_hand() -> None:
    network = CellViTConfig(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.1))
    sampler = replace(crops(network=network), chance=np.array([1.0, 0, 0]))
    batch = sampler.batch(2, np.random.default_rng(0))
    expected = image("one", True)
    assert {name: (tuple(v.shape), v.dtype) for name, v in batch.items()} == {
        "image": ((2, 3, 64, 64), torch.float32),
        "foreground": ((2, 64, 64), torch.bool),
        "hv": ((2, 2, 64, 64), torch.float32),
        "types": ((2, 64, 64), torch.int64),
        "hv_weight": ((2,), torch.float32),
        "type_weight": ((2,), torch.float32),
        "tissue": ((2,), torch.int64),
    }
    assert batch["image"][1, :, 0, 0].tolist() == pytest.approx([0.2, 0, -1], abs=1e-5)
    assert np.array_equal(batch["hv"][0].numpy(), hv_map(expected.instances))
    assert np.array_equal(batch["foreground"][0].numpy(), expected.instances > 0)
    assert np.array_equal(batch["types"][0].numpy(), expected.instances * 2)
    assert batch["tissue"].tolist() == [3, 3]


def test_shares_and_weights_per_image() -> None:
    batch = crops().batch(400, np.random.default_rng(0))
    typed = batch["type_weight"] == 1
    assert typed.float().mean().item() == pytest.approx(0.75, abs=0.07)
    assert (batch["hv_weight"] == torch.where(typed, 1.0, 0.25)).all()
    known = batch["tissue"] == 3
    assert known.float().mean().item() == pytest.approx(0.375, abs=0.07)
    assert (batch["tissue"][~known] == -1).all()
    # an image with classes but no nucleus of any trains the type branch to see background
    assert (batch["types"][typed & ~known] == 0).all()


def test_pixels_are_brought_to_the_networks_size() -> None:
    sampler = replace(crops(32), chance=np.array([0, 0, 1.0]))
    batch = sampler.batch(20, np.random.default_rng(0))
    height = batch["foreground"].any(2).sum(1).max().item()
    assert height > 20  # 16 rows at 0.5 um are 32 at 0.25
    plain = replace(sampler, sources=(SOURCES[0], SOURCES[0]))
    assert plain.batch(20, np.random.default_rng(0))["foreground"].any(2).sum(1).max() <= 16


def test_rare_classes_are_drawn_more_often() -> None:
    both = pools()
    even = image_chances(both, SOURCES, 4)
    assert even == pytest.approx([0.375, 0.375, 0.25])
    instances = image("x", True)
    rare = replace(instances, types=(instances.instances * 4).astype(np.uint8))
    many = Images.of([image(str(k), True) for k in range(9)] + [rare])
    chance = image_chances((many, both[1]), SOURCES, 4, gamma=0.85)
    assert chance.sum() == pytest.approx(1)
    assert chance[-1] == pytest.approx(0.25)
    assert chance[-2] > 1.5 * chance[0]
    assert chance[:9] == pytest.approx(chance[0])


def test_types_the_network_does_not_know() -> None:
    sampler = replace(crops(network=CellViTConfig(classes=("background", "cell"))))
    with pytest.raises(RegdataError, match="one of a has type 2, but the network's classes end"):
        sampler.batch(20, np.random.default_rng(0))


def test_threads_and_resuming_change_nothing() -> None:
    sampler = replace(crops(48), augmentation=AugmentConfig())
    alone = [b["image"] for b in prefetch(sampler, 2, 5, range(7))]
    several = [b["image"] for b in prefetch(sampler, 2, 5, range(3, 7), workers=3)]
    assert len(alone) == 7
    assert all(torch.equal(a, b) for a, b in zip(alone[3:], several, strict=True))
    other = [b["image"] for b in prefetch(sampler, 2, 5, range(7), rank=1)]
    assert not any(torch.equal(a, b) for a, b in zip(alone, other, strict=True))


def test_an_error_in_a_thread_is_raised() -> None:
    sampler = crops(network=CellViTConfig(classes=("background",)))
    with pytest.raises(RegdataError, match="classes end at 0"):
        list(prefetch(sampler, 8, 0, range(3)))
