"""Running a network on tiles."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.arrays import RGB
from regdata.cells import CellTable
from regdata.cellvit.maps import Maps, PostprocessSettings, find_cells
from regdata.cellvit.networks import CellViTConfig, Model


def usual_settings(config: CellViTConfig) -> PostprocessSettings:
    """How the maps of a network are read unless one says otherwise.

    Published networks are read as they were evaluated; the built-in one without what makes a
    nucleus depend on the rest of its tile.
    """
    if config.pooling == "box":
        return PostprocessSettings.published(config.mpp)
    # the edge that serves the held-out training images best (docs/results.md)
    return PostprocessSettings(edge=0.42, normalise="fixed")


def predict(model: Model, rgb: RGB) -> Maps:
    """The maps of one image.

    Parameters
    ----------
    rgb
        (H, W, 3) at the network's resolution; any size, padded with white as the network needs.

    Returns
    -------
    Maps
        Of the same height and width; tokens cover the padded image.
    """
    return predict_batch(model, [rgb])[0]


@torch.inference_mode()
def predict_batch(model: Model, images: Sequence[RGB]) -> list[Maps]:
    """The maps of several images of one size, run at once; each as `predict` gives it.

    On a GPU the maps stay there.

    Parameters
    ----------
    images
        (H, W, 3) uint8 each, at the network's resolution.
    """
    height, width = images[0].shape[:2]
    multiple = model.config.multiple
    padding = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    batch = np.stack([np.pad(rgb, padding, constant_values=255) for rgb in images])
    out = _run(model, torch.from_numpy(batch).to(model.device, non_blocking=True))
    whole = (
        out["nuclei_binary_map"].float().softmax(1)[:, 1, :height, :width],
        out["hv_map"].float()[..., :height, :width],
        out["nuclei_type_map"].float().softmax(1)[..., :height, :width],
        out["tokens"].float(),
    )
    patch = batch.shape[1] / out["tokens"].shape[2]
    host = model.device.type == "cpu"
    fields = [
        [np.ascontiguousarray(x.numpy()) if host else x.contiguous() for x in field]
        for field in whole
    ]
    return [
        Maps(nucleus, hv, kinds, tokens, patch)
        for nucleus, hv, kinds, tokens in zip(*fields, strict=True)
    ]


def _run(model: Model, rgb: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits of (B, H, W, 3) uint8 images on the model's device."""
    mean = torch.tensor(model.config.mean, device=model.device)
    std = torch.tensor(model.config.std, device=model.device)
    image = ((rgb.float() / 255 - mean) / std).permute(0, 3, 1, 2)  # channels_last in memory
    kind, dtype = model.device.type, model.precision
    with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
        out: dict[str, torch.Tensor] = model.network(image)
    return out


def detect(
    model: Model, rgb: RGB, settings: PostprocessSettings | None = None
) -> tuple[NDArray[np.int32], CellTable]:
    """Segment one image that fits in memory.

    Parameters
    ----------
    rgb
        (H, W, 3) at the network's resolution.

    Returns
    -------
    instances, cells
        (H, W) int32 instance map and the table of its nuclei, in pixels of the image.
    """
    maps = predict(model, rgb)
    return find_cells(maps, model.config.mpp, settings or usual_settings(model.config))
