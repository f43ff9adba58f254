"""Batches of augmented crops with their targets, for training a segmentation network."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regdata.annotated import AnnotatedNuclei, Images, SourceConfig, load_images, split_held_out
from regdata.cellvit.networks import CellViTConfig
from regdata.errors import RegdataError
from regdata.train.segmentation.augment import AugmentConfig, augment
from regdata.train.segmentation.crops import Sample
from regdata.train.segmentation.sampling import cell_tissue_weights, count_nuclei, share_out
from regdata.train.segmentation.targets import hv_map


@dataclass(frozen=True)
class CropSampler:
    """A source of batches of augmented crops, each source of images with its share.

    Attributes
    ----------
    samples
        Training images of each source.
    sources
        Descriptions of the sources.
    chance
        (N,) float64, probability of each image, the sources one after the other.
    size
        Side of a crop in pixels.
    augmentation
        How crops are varied.
    network
        Config of the network: pixel size and normalisation of the crops.
    """

    samples: tuple[Sequence[AnnotatedNuclei], ...]
    sources: tuple[SourceConfig, ...]
    chance: NDArray[np.float64]
    size: int
    augmentation: AugmentConfig
    network: CellViTConfig

    def batch(self, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A batch of `count` crops with their targets.

        Returns
        -------
        dict
            `image` (B, 3, H, W) float32 normalised for the network, `foreground` (B, H, W) bool,
            `hv` (B, 2, H, W) float32, `types` (B, H, W) int64, `hv_weight` and `type_weight` (B,)
            float32, 0 where an image has no such label, and `tissue` (B,) int64, -1 = not known.
        """
        starts = np.cumsum([0, *(len(pool) for pool in self.samples)])
        rows = []
        for k in rng.choice(len(self.chance), size=count, p=self.chance):
            source = int(np.searchsorted(starts, k, side="right")) - 1
            rows.append(self._crop(source, int(k - starts[source]), rng))
        return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}

    def _crop(self, k: int, number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        source, image = self.sources[k], self.samples[k][number]
        zoom = (source.mpp or self.network.mpp) / self.network.mpp
        crop = augment(_sample(image), self.size, rng, self.augmentation, zoom)
        if crop.types.max() >= len(self.network.classes):
            raise RegdataError(
                f"{image.name} of {source.path} has type {crop.types.max()}, but the network's "
                f"classes end at {len(self.network.classes) - 1}; set classes = false there or "
                "name the network's classes"
            )
        return {
            "image": _normalised(crop.image, self.network),
            "foreground": torch.from_numpy(crop.instances > 0),
            "hv": torch.from_numpy(hv_map(crop.instances)),
            "types": torch.from_numpy(crop.types).long(),
            "hv_weight": torch.tensor(source.hv_weight),
            "type_weight": torch.tensor(float(image.types is not None)),
            "tissue": torch.tensor(-1 if image.tissue is None else image.tissue),
        }


def _sample(image: AnnotatedNuclei) -> Sample:
    types = np.zeros(image.instances.shape, np.uint8) if image.types is None else image.types
    return Sample(image.rgb, image.instances, types)


def _normalised(image: NDArray[np.uint8], network: CellViTConfig) -> Tensor:
    """(3, H, W) float32, normalised for the network, of (H, W, 3) uint8."""
    mean, std = (torch.tensor(three).view(3, 1, 1) * 255 for three in (network.mean, network.std))
    return (torch.from_numpy(image).permute(2, 0, 1).float() - mean) / std


def image_chances(
    samples: Sequence[Images], sources: Sequence[SourceConfig], classes: int, gamma: float = 0.0
) -> NDArray[np.float64]:
    """(N,) float64, probability of each training image, the sources one after the other.

    Parameters
    ----------
    samples, sources
        Training images and their descriptions.
    classes
        Number of classes of nuclei, background not counted.
    gamma
        CellViT's gamma_s: 0 draws all images of a source alike, without looking at them; above,
        every image is read once to count its nuclei.
    """
    weights = [np.ones(len(pool)) for pool in samples]
    if gamma > 0:
        for k, pool in enumerate(samples):
            counts = count_nuclei(((i.instances, i.types) for i in pool), classes)
            weights[k] = cell_tissue_weights(counts, np.array(pool.tissues, np.int64), gamma)
    return share_out(weights, [source.share for source in sources])


def open_crops(
    sources: tuple[SourceConfig, ...],
    size: int,
    network: CellViTConfig,
    augmentation: AugmentConfig,
    gamma: float = 0.0,
) -> tuple[CropSampler, tuple[Images, ...]]:
    """A sampler of training crops, and the held-out images of each source."""
    train, held_out = zip(
        *(split_held_out(load_images(source), source.held_out) for source in sources), strict=True
    )
    chance = image_chances(train, sources, len(network.classes) - 1, gamma)
    return CropSampler(train, sources, chance, size, augmentation, network), held_out


def prefetch(
    sampler: CropSampler,
    batch: int,
    seed: int,
    steps: range,
    rank: int = 0,
    workers: int = 1,
) -> Iterator[dict[str, Tensor]]:
    """Batches made ahead in threads; each depends on seed, step and rank alone.

    Parameters
    ----------
    sampler
        Makes the batches.
    batch
        Number of crops of each.
    seed, rank
        Seed of the run, and rank of this process; processes draw different crops.
    steps
        Numbers of the steps; of a resumed run the remaining ones.
    workers
        Threads; two batches per thread are kept ready.
    """
    with ThreadPoolExecutor(workers) as pool:
        ready: deque[Future[dict[str, Tensor]]] = deque()
        try:
            for step in steps:
                rng = np.random.default_rng((seed, step, rank))
                ready.append(pool.submit(sampler.batch, batch, rng))
                if len(ready) > 2 * workers:
                    yield ready.popleft().result()
            while ready:
                yield ready.popleft().result()
        finally:
            for future in ready:
                future.cancel()
