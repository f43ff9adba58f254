"""A network rewritten for inference: the same function in fewer operations.

Two identities, exact up to rounding:

- batch norm after a convolution is a scale and a shift of its weights;
- a transposed convolution 2x2 of stride 2 followed by a convolution 3x3 is one transposed
  convolution 4x4 of stride 2. In a branch the 3x3 convolution reads the skip and the upsampled
  map together; it is the sum of one convolution of each.

The published decoders hold most of a network's arithmetic (88 % for ViT-256), and most of that
lies behind such pairs.
"""

from typing import cast

import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.efficientnet import EfficientNetFeatures
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from regdata.cellvit.networks.blocks import ConvBlock, DeconvBlock
from regdata.cellvit.networks.network import Branch, CellViT, resized


def fold(network: CellViT) -> CellViT:
    """Rewrite a network in place for inference; it cannot be trained or saved afterwards.

    Parameters
    ----------
    network
        In evaluation mode.
    """
    fits = network.config.encoder.patch == 16  # else the last maps are resized in between
    for name in ("nuclei_binary_map_decoder", "hv_map_decoder", "nuclei_type_maps_decoder"):
        setattr(network, name, FoldedBranch(getattr(network, name), fits))
    _fold_blocks(network)
    _fold_backbone(network)
    return network


_NORMED = (
    (EfficientNetFeatures, (("conv_stem", "bn1"),)),
    (InvertedResidual, (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))),
    (DepthwiseSeparableConv, (("conv_dw", "bn1"), ("conv_pw", "bn2"))),
)
"""timm's convolutions with the norm, activation included, behind each."""


def _fold_backbone(network: CellViT) -> None:
    for module in network.encoder.modules():
        for kind, pairs in _NORMED:
            if not isinstance(module, kind):
                continue
            for conv, norm in pairs:
                old = getattr(module, norm)
                setattr(module, conv, nn.utils.fuse_conv_bn_eval(getattr(module, conv), old))
                setattr(module, norm, old.act)


def _fold_blocks(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvBlock | DeconvBlock):
            setattr(module, name, _folded_block(child))
        else:
            _fold_blocks(child)


def _folded_block(block: ConvBlock | DeconvBlock) -> nn.Sequential:
    if isinstance(block, ConvBlock):
        return nn.Sequential(_without_norm(block.block), nn.ReLU(inplace=True))
    up = cast(nn.ConvTranspose2d, block.block[0])
    return nn.Sequential(UpConv(up, _without_norm(block.block[1:])), nn.ReLU(inplace=True))


def _without_norm(layers: nn.Sequential) -> nn.Conv2d:
    """The convolution that a convolution and a batch norm in evaluation mode make together."""
    conv, norm = cast(nn.Conv2d, layers[0]), cast(nn.BatchNorm2d, layers[1])
    return nn.utils.fuse_conv_bn_eval(conv, norm)


class UpConv(nn.Module):
    """A doubling of the resolution and a 3x3 convolution as one transposed convolution."""

    def __init__(self, up: nn.ConvTranspose2d, conv: nn.Conv2d) -> None:
        super().__init__()
        spread, mix = up.weight.data, conv.weight.data  # (I, M, 2, 2), (O, M, 3, 3)
        weight = spread.new_zeros(spread.shape[0], mix.shape[0], 4, 4)
        for row in range(2):
            for column in range(2):
                part = torch.einsum("im,omkl->iokl", spread[:, :, row, column], mix)
                # the convolution looks up and left as far as the flipped kernel reaches on
                weight[:, :, row : row + 3, column : column + 3] += part.flip(2, 3)
        self.weight = nn.Parameter(weight, requires_grad=False)
        constant = torch.einsum("omkl,m->okl", mix, up.bias.data)  # type: ignore[union-attr]
        own = conv.bias.data if conv.bias is not None else 0.0
        self.bias = nn.Parameter(constant.sum((1, 2)) + own, requires_grad=False)
        # at the border part of the 3x3 window lies outside, where `up` adds no bias
        self.missing = nn.Parameter(constant, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, 2 H, 2 W)."""
        out = conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
        missing = self.missing.to(out.dtype)[:, :, :, None]  # (O, 3, 3, 1)
        for edge, k in ((0, 0), (-1, 2)):
            out[:, :, edge, :] -= missing[:, k].sum(1)
            out[:, :, :, edge] -= missing[:, :, k].sum(1)
            for side, n in ((0, 0), (-1, 2)):
                out[:, :, edge, side] += missing[:, k, n, 0]
        return out


class Join(nn.Module):
    """The upsampled map and the skip, through the convolution that reads both."""

    def __init__(self, up: nn.ConvTranspose2d, block: ConvBlock) -> None:
        super().__init__()
        conv = _without_norm(block.block)
        skip = conv.in_channels - up.out_channels
        self.skip = _part(conv, slice(0, skip), True)
        self.up = UpConv(up, _part(conv, slice(skip, None), False))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, C, H, W) and the skip (B, S, 2 H, 2 W) -> (B, O, 2 H, 2 W)."""
        out: Tensor = self.skip(skip)
        out += self.up(x)
        return out.relu_()


def _part(conv: nn.Conv2d, channels: slice, with_bias: bool) -> nn.Conv2d:
    """The convolution of some of its input channels."""
    weight = conv.weight.data[:, channels].contiguous()
    part = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=with_bias)
    part.weight = nn.Parameter(weight, requires_grad=False)
    if with_bias and conv.bias is not None:
        part.bias = nn.Parameter(conv.bias.data, requires_grad=False)
    return part


class FoldedBranch(nn.Module):
    """`Branch` with each upsampling joined to the convolution behind it.

    Parameters
    ----------
    fits
        Whether the last upsampled map has the image's size, so that nothing stands between.
    """

    def __init__(self, branch: Branch, fits: bool) -> None:
        super().__init__()
        levels = (branch.decoder3_upsampler, branch.decoder2_upsampler, branch.decoder1_upsampler)
        ups = [branch.bottleneck_upsampler]
        ups += [cast(nn.ConvTranspose2d, level[-1]) for level in levels]
        inner = [level[1:-1] for level in levels]
        firsts = [cast(ConvBlock, part[0]) for part in (*levels, branch.decoder0_header)]
        self.joins = nn.ModuleList(
            Join(up, block) for up, block in zip(ups[:3], firsts[:3], strict=True)
        )
        self.inner = nn.ModuleList(inner)
        self.last = Join(ups[3], firsts[3]) if fits else _Resizing(ups[3], firsts[3])
        self.header = branch.decoder0_header[1:]

    def forward(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """As `Branch`."""
        x = tokens
        for join, inner, skip in zip(self.joins, self.inner, skips[:0:-1], strict=True):
            x = inner(join(x, skip))
        out: Tensor = self.header(self.last(x, skips[0]))
        return out


class _Resizing(nn.Module):
    """As `Join`, with the upsampled map resized to the skip's size first."""

    def __init__(self, up: nn.ConvTranspose2d, block: ConvBlock) -> None:
        super().__init__()
        self.up = up
        self.conv = _folded_block(block)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = resized(self.up(x), skip.shape[-2:])
        out: Tensor = self.conv(torch.cat([skip, up], 1))
        return out
