"""CellViT: a ViT encoder and a UNETR-like decoder with three branches (Hörst et al., 2024)."""

from collections import OrderedDict
from itertools import pairwise

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from regdata.cellvit.config import CellViTConfig


def conv_block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Convolution 3x3, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class Stem(nn.Module):
    """Four halvings of the image; their results are the skip connections and the patches."""

    def __init__(self, config: CellViTConfig) -> None:
        super().__init__()
        widths = (3, *config.stem_widths)
        self.stages = nn.ModuleList(
            nn.Sequential(conv_block(a, b, stride=2), conv_block(b, b)) for a, b in pairwise(widths)
        )
        self.patches = nn.Conv2d(widths[-1], config.embed_dim, 2, stride=2)

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, 3, H, W) -> maps at 1/2, 1/4, 1/8 and patches (B, D, H/16, W/16)."""
        skips = []
        x = image
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips, self.patches(x)


class WindowedEncoder(nn.Module):
    """Transformer blocks (timm) over windows of tokens, with a learned position in the window."""

    def __init__(self, config: CellViTConfig) -> None:
        super().__init__()
        self.window = config.window
        self.pos_embed = nn.Parameter(torch.zeros(1, config.window**2, config.embed_dim))
        self.blocks = nn.Sequential(
            *(Block(config.embed_dim, config.heads, qkv_bias=True) for _ in range(config.depth))
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w); zero-padded up to whole windows inside."""
        batch, dim, height, width = patches.shape
        side = self.window
        rows, cols = -(-height // side), -(-width // side)
        pad = (0, cols * side - width, 0, rows * side - height)
        x = nn.functional.pad(patches, pad)
        x = x.reshape(batch, dim, rows, side, cols, side).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(batch * rows * cols, side * side, dim)
        x = self.blocks(x + self.pos_embed)
        x = x.reshape(batch, rows, cols, side, side, dim).permute(0, 5, 1, 3, 2, 4)
        whole: Tensor = x.reshape(batch, dim, rows * side, cols * side)
        return whole[:, :, :height, :width]


class Branch(nn.Sequential):
    """One branch of the decoder: tokens up to full resolution, meeting a skip at each scale."""

    def __init__(self, config: CellViTConfig, channels_out: int) -> None:
        w8, w4, w2, w1 = config.decoder_widths
        up = nn.ConvTranspose2d
        super().__init__(
            OrderedDict(
                bottleneck=up(config.embed_dim, w8, 2, 2),
                up8=nn.Sequential(conv_block(2 * w8, w8), conv_block(w8, w8), up(w8, w4, 2, 2)),
                up4=nn.Sequential(conv_block(2 * w4, w4), conv_block(w4, w4), up(w4, w2, 2, 2)),
                up2=nn.Sequential(conv_block(2 * w2, w2), conv_block(w2, w2), up(w2, w1, 2, 2)),
                header=nn.Sequential(
                    conv_block(2 * w1, w1), conv_block(w1, w1), nn.Conv2d(w1, channels_out, 1)
                ),
            )
        )

    def forward(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:  # type: ignore[override]
        """Tokens (B, D, h, w) and skips at 1/8, 1/4, 1/2, 1 -> logits (B, C, H, W)."""
        first, *layers = self
        x: Tensor = first(tokens)
        for layer, skip in zip(layers, skips, strict=True):
            x = layer(torch.cat([skip, x], dim=1))
        return x


class CellViT(nn.Module):
    """The network: image in, logits of the three maps and the tokens out.

    Parameters
    ----------
    config
        Sizes, class names, normalisation.
    """

    def __init__(self, config: CellViTConfig) -> None:
        super().__init__()
        self.config = config
        w8, w4, w2, w1 = config.decoder_widths
        s2, s4, s8 = config.stem_widths
        self.stem = Stem(config)
        self.encoder = WindowedEncoder(config)
        self.decoder0 = nn.Sequential(conv_block(3, w1), conv_block(w1, w1))
        self.decoder1 = conv_block(s2, w2)
        self.decoder2 = conv_block(s4, w4)
        self.decoder3 = conv_block(s8, w8)
        self.nuclei_binary_map_decoder = Branch(config, 2)
        self.hv_map_decoder = Branch(config, 2)
        self.nuclei_type_maps_decoder = Branch(config, len(config.classes))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Run the network.

        Parameters
        ----------
        image
            (B, 3, H, W), normalised with the config's mean and std; H and W multiples of 16.

        Returns
        -------
        dict
            `nuclei_binary_map` (B, 2, H, W) logits, `hv_map` (B, 2, H, W) horizontal then
            vertical offset in -1..1, `nuclei_type_map` (B, C, H, W) logits with background
            first, `tokens` (B, D, H/16, W/16) of the last block.
        """
        (s2, s4, s8), patches = self.stem(image)
        tokens = self.encoder(patches)
        skips = [self.decoder3(s8), self.decoder2(s4), self.decoder1(s2), self.decoder0(image)]
        return {
            "nuclei_binary_map": self.nuclei_binary_map_decoder(tokens, skips),
            "hv_map": self.hv_map_decoder(tokens, skips),
            "nuclei_type_map": self.nuclei_type_maps_decoder(tokens, skips),
            "tokens": tokens,
        }
