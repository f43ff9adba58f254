"""Running a network on tiles."""

import numpy as np
import torch
from numpy.typing import NDArray

from regdata.cells import CellTable
from regdata.cellvit.postprocess import Maps, PostprocessSettings, measure, separate
from regdata.cellvit.weights import Model


def autocast_dtype(device: torch.device) -> torch.dtype:
    """The fastest type that loses nothing that matters: bf16 where the hardware has it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if native() else torch.float32


@torch.inference_mode()
def predict(model: Model, rgb: NDArray[np.uint8]) -> Maps:
    """Run the network on one image.

    Parameters
    ----------
    rgb
        (H, W, 3) at the network's resolution; any size, padded with white to whole patches.

    Returns
    -------
    Maps
        Of the same height and width; tokens cover the padded image.
    """
    height, width = rgb.shape[:2]
    patch = model.config.patch
    padding = ((0, -height % patch), (0, -width % patch), (0, 0))
    padded = np.pad(rgb, padding, constant_values=255)
    image = torch.from_numpy(padded).to(model.device).permute(2, 0, 1)[None].float() / 255
    mean = torch.tensor(model.config.mean, device=model.device)[:, None, None]
    std = torch.tensor(model.config.std, device=model.device)[:, None, None]
    image = (image - mean) / std
    image = image.contiguous(memory_format=torch.channels_last)
    dtype = autocast_dtype(model.device)
    with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
        out = model.network(image)

    def numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
        return tensor[0, :, :height, :width].float().cpu().numpy()

    return Maps(
        nucleus=numpy(out["nuclei_binary_map"].float().softmax(1))[1],
        hv=numpy(out["hv_map"]),
        kinds=numpy(out["nuclei_type_map"].float().softmax(1)),
        tokens=out["tokens"][0].float().cpu().numpy(),
        patch=patch,
    )


def detect(
    model: Model, rgb: NDArray[np.uint8], settings: PostprocessSettings | None = None
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
    settings = settings or PostprocessSettings()
    maps = predict(model, rgb)
    instances = separate(maps.nucleus, maps.hv, settings)
    return instances, measure(instances, maps, model.config.mpp, settings.min_area)
