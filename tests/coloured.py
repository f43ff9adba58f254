"""A network that sees nuclei by their colour, and slides of discs, so that the truth is exact."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cellvit.networks.config import CellViTConfig, StemEncoder
from regdata.cellvit.networks.weights import Model
from regdata.slides.slide import Box, Slide
from regdata.train.segmentation.targets import hv_map


class ByColour(torch.nn.Module):
    """Dark is nucleus; HV from connected components; the token is the mean red of its patch."""

    def __init__(self) -> None:
        super().__init__()
        self.config = CellViTConfig(encoder=StemEncoder(width=1), classes=("background", "cell"))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        dark = image[:, 0].numpy() < 0
        labels = [ndimage.label(one)[0].astype(np.int32) for one in dark]
        logit = torch.from_numpy(np.where(dark, 8.0, -8.0).astype(np.float32))
        both = torch.stack([-logit, logit], 1)
        return {
            "nuclei_binary_map": both,
            "hv_map": torch.from_numpy(np.stack([hv_map(one) for one in labels])),
            "nuclei_type_map": both,
            "tokens": torch.nn.functional.avg_pool2d(image[:, :1], 16),
        }


HEMATOXYLIN = (70, 50, 120)

MODEL = Model(ByColour(), "0" * 64, torch.device("cpu"))  # type: ignore[arg-type]


def slide_of(rgb: NDArray[np.uint8], mpp: float = 0.25) -> Slide:
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.uint8]:
        return planes[list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (rgb.shape[1], rgb.shape[0])
    return Slide(Path("x.tif"), (size,), mpp, ("red", "green", "blue"), np.dtype(np.uint8), pixels)


def with_discs(size: tuple[int, int], xy: NDArray[np.float64], radius: float) -> Slide:
    """A white slide with a dark disc around each point, corner origin."""
    rows, columns = np.indices((size[1], size[0])) + 0.5
    rgb = np.full((size[1], size[0], 3), 255, np.uint8)
    for x, y in xy:
        rgb[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = HEMATOXYLIN
    return slide_of(rgb)


class ByColours(torch.nn.Module):
    """Reads nuclei and HV from the three colours: cheap, for slides that carry them."""

    def __init__(self) -> None:
        super().__init__()
        self.config = ByColour().config

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        logit = -8 * image[:, :1]
        both = torch.cat([-logit, logit], 1)
        tokens = torch.nn.functional.avg_pool2d(image[:, :1], 16)
        hv = torch.where(logit > 0, image[:, 1:], 0.0)
        maps = {"nuclei_binary_map": both, "hv_map": hv, "nuclei_type_map": both}
        return {**maps, "tokens": tokens}


STAMPED = Model(ByColours(), "1" * 64, torch.device("cpu"))  # type: ignore[arg-type]


def stamped(side: int) -> Slide:
    """A square slide with a nucleus in every 100 x 100 px, made where it is read."""
    y, x = (np.indices((100, 100)) - 49.5) / 12
    inside = x**2 + y**2 < 1
    stamp = np.full((3, 100, 100), 255, np.uint8)
    stamp[0][inside] = 0
    stamp[1][inside] = ((x[inside] + 1) * 127.5).astype(np.uint8)
    stamp[2][inside] = ((y[inside] + 1) * 127.5).astype(np.uint8)

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.uint8]:
        rows, columns = (np.arange(a, a + n) % 100 for a, n in ((box.y, box.h), (box.x, box.w)))
        part: NDArray[np.uint8] = stamp[list(channels)][:, rows][:, :, columns]
        return part

    size = (side, side)
    return Slide(Path("s.tif"), (size,), 0.25, ("red", "green", "blue"), np.dtype(np.uint8), pixels)
