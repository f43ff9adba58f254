"""Reading maps that are torch tensors, on the device they lie on."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d

from regdata.arrays import Floats
from regdata.cellvit.maps.maps import (
    Edges,
    Labels,
    PostprocessSettings,
    TokenShares,
    fixed_limits,
    rescaling,
)


@dataclass(frozen=True)
class DeviceMaps:
    """Tensors of one tile, all on one device; fields and shapes are those of `Maps`."""

    nucleus: torch.Tensor
    hv: torch.Tensor
    kinds: torch.Tensor
    tokens: torch.Tensor

    @torch.inference_mode()
    def edges(self, settings: PostprocessSettings) -> Edges:
        """The pixels of nuclei and the borders between them, as `HostMaps.edges`."""
        mask = self.nucleus > 0.5
        tile = settings.normalise == "tile"
        inverted = []
        for axis in (0, 1):
            gradient = _gradient(self.hv[axis], axis, settings)
            limits = _limits(gradient) if tile else fixed_limits(settings.sobel)
            inverted.append(1 - _rescale(gradient[mask], rescaling(*limits)))
        edge = torch.maximum(*inverted)
        edge = edge.clamp(min=0) if tile else edge
        return Edges(mask.to(torch.uint8).cpu().numpy(), edge.cpu().numpy())

    @torch.inference_mode()
    def sums(self, instances: Labels, count: int, votes: bool) -> tuple[Floats, Floats]:
        """(count + 1,) probability and (count + 1, C) kinds of nuclei, as `MapReader.sums`."""
        place = np.flatnonzero(instances)
        owner = self._moved(instances.ravel()[place].astype(np.int64))
        pixels = self._moved(place)
        nucleus = self.nucleus.reshape(-1)[pixels].double()
        kinds = self.kinds.reshape(len(self.kinds), -1)[:, pixels].T
        if votes:
            kinds = torch.nn.functional.one_hot(kinds.argmax(1), len(self.kinds))
        total = torch.zeros(count + 1, dtype=torch.float64, device=owner.device)
        by_kind = total.new_zeros(count + 1, len(self.kinds))
        total.index_add_(0, owner, nucleus)
        by_kind.index_add_(0, owner, kinds.double())
        return total.cpu().numpy(), by_kind.cpu().numpy()

    @torch.inference_mode()
    def mean_tokens(self, shares: TokenShares) -> NDArray[np.float16]:
        """(N, D) mean token of each nucleus."""
        count = len(shares.starts) - 1
        owner = self._moved(np.repeat(np.arange(count), np.diff(shares.starts)))
        tokens = self.tokens.reshape(len(self.tokens), -1)[:, self._moved(shares.place)].T  # (n, D)
        weighed = tokens.float() * self._moved(shares.weight)[:, None]
        mean = weighed.new_zeros(count, len(self.tokens)).index_add_(0, owner, weighed)
        return np.asarray(mean.half().cpu().numpy(), dtype=np.float16)

    def _moved(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.nucleus.device)


def _limits(image: torch.Tensor) -> tuple[float, float]:
    low, high = torch.stack(torch.aminmax(image)).tolist()
    return low, high


def _rescale(image: torch.Tensor, rescaling: tuple[float, float]) -> torch.Tensor:
    # one operation at a time: a fused multiply-add would round otherwise than on the host
    return (image.double() * rescaling[0] + rescaling[1]).float()


def _gradient(hv: torch.Tensor, axis: int, settings: PostprocessSettings) -> torch.Tensor:
    """(H, W) float64 Sobel response: axis 0 along the columns, axis 1 along the rows."""
    hv = hv.float()
    if settings.normalise == "tile":
        hv = _rescale(hv, rescaling(*_limits(hv)))
    slope, smooth = cv2.getDerivKernels(1, 0, settings.sobel, ktype=cv2.CV_64F)
    along_x, along_y = (slope, smooth) if axis == 0 else (smooth, slope)
    image = hv.double()
    for kernel, dim in ((along_x, 1), (along_y, 0)):
        image = _filter(image, torch.from_numpy(kernel[:, 0]).to(hv.device), dim)
    return image


def _filter(image: torch.Tensor, kernel: torch.Tensor, dim: int) -> torch.Tensor:
    """Correlate along one axis, the border mirrored without repeating the edge pixel."""
    size, radius = image.shape[dim], len(kernel) // 2
    index = torch.arange(-radius, size + radius, device=image.device).abs()
    period = max(1, 2 * size - 2)
    index = index % period
    index = torch.minimum(index, period - index) % size
    shape = (1, 1, 1, -1) if dim == 1 else (1, 1, -1, 1)
    return conv2d(image.index_select(dim, index)[None, None], kernel.view(shape))[0, 0]
