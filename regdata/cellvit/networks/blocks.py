"""The convolution blocks of the CellViT decoder, under the published entry names."""

from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Convolution 3x3, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        out: Tensor = self.block(x)
        return out


class DeconvBlock(nn.Module):
    """Transposed convolution 2x2 that doubles the resolution, then as `ConvBlock`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ConvTranspose2d(channels_in, channels_out, 2, 2),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', 2 H, 2 W)."""
        out: Tensor = self.block(x)
        return out
