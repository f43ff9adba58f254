"""Annotated nuclei for training a segmentation network, and the crops drawn from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

import cv2
import numpy as np
import torch
from torch import Tensor

from regdata.errors import RegdataError
from regdata.train.augment import Sample, augment
from regdata.train.targets import hv_map


@dataclass(frozen=True)
class Source:
    """One set of annotated images: a folder with `images/` and `labels/*.npz`.

    Attributes
    ----------
    folder
        Path below the data folder.
    share
        Share of the training crops drawn from this set.
    hv_weight
        Weight of the HV loss; below 1 where borders between touching nuclei are approximate.
    held_out
        Stems that begin with one of these are left out of training, to watch it.
    """

    folder: str
    share: float
    hv_weight: float
    held_out: tuple[str, ...] = ()


SOURCES = (
    Source("consep/train", share=0.5, hv_weight=1.0, held_out=("train_1.",)),
    # instances were cut from binary masks by a watershed, so borders in clumps are approximate
    Source("nuinsseg", share=0.3, hv_weight=0.25, held_out=("7.", "77.", "177.", "277.")),
    Source("tnbc", share=0.2, hv_weight=1.0, held_out=("11_",)),
)


def load_samples(folder: Path) -> dict[str, Sample]:
    """All annotated images of a folder with `images/` and `labels/`, by file name."""
    paths = sorted((folder / "images").glob("*.*"))
    if not paths:
        raise RegdataError(f"{folder} has no images/ with annotated images; check --data")
    return {path.name: _load(path) for path in paths}


def _load(path: Path) -> Sample:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise RegdataError(f"{path} is not a readable image")
    with np.load(path.parents[1] / "labels" / f"{path.stem}.npz") as labels:
        instances = labels["inst_map"].astype(np.int32)
        types = labels["type_map"] if "type_map" in labels else np.zeros(instances.shape)
    return Sample(pixels[..., ::-1].copy().astype(np.uint8), instances, types.astype(np.uint8))


@dataclass(frozen=True)
class CropSampler:
    """Draws augmented crops, each source with its share.

    Attributes
    ----------
    samples
        Per source, its training images.
    sources
        The matching descriptions.
    size
        Side of a crop in pixels.
    """

    samples: tuple[tuple[Sample, ...], ...]
    sources: tuple[Source, ...]
    size: int

    def batch(self, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """`count` crops with their targets; see `regdata.train.losses.cellvit_loss`."""
        shares = np.array([source.share for source in self.sources])
        rows = [
            self._crop(int(k), rng)
            for k in rng.choice(len(shares), size=count, p=shares / shares.sum())
        ]
        return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}

    def _crop(self, k: int, rng: np.random.Generator) -> dict[str, Tensor]:
        pool = self.samples[k]
        crop = augment(pool[rng.integers(len(pool))], self.size, rng)
        return {
            "image": torch.from_numpy(crop.image).permute(2, 0, 1).float() / 127.5 - 1,
            "foreground": torch.from_numpy(crop.instances > 0),
            "hv": torch.from_numpy(hv_map(crop.instances)),
            "types": torch.from_numpy(crop.types).long(),
            "hv_weight": torch.tensor(self.sources[k].hv_weight),
            "type_weight": torch.tensor(float(crop.types.any())),
        }


def split(data: Path, sources: tuple[Source, ...], size: int) -> tuple[CropSampler, list[Sample]]:
    """Training crops and the held-out images."""
    train, held_out = [], []
    for source in sources:
        samples = load_samples(data / source.folder)
        out = {name for name in samples if name.startswith(source.held_out or ("\0",))}
        held_out += [samples[name] for name in sorted(out)]
        train.append(tuple(s for name, s in samples.items() if name not in out))
    return CropSampler(tuple(train), sources, size), held_out


def prefetch(
    sampler: CropSampler, batch: int, seed: int, steps: range
) -> Iterator[dict[str, Tensor]]:
    """Batches made two ahead in a thread; step k depends on the seed and k alone."""
    queue: Queue[dict[str, Tensor]] = Queue(maxsize=2)

    def work() -> None:
        for step in steps:
            queue.put(sampler.batch(batch, np.random.default_rng((seed, step))))

    Thread(target=work, daemon=True).start()
    for _ in steps:
        yield queue.get()
