"""The encoders: timm's transformers, tapped where the decoder wants them."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from timm import create_model
from timm.layers import GluMlp, Mlp
from timm.models.vision_transformer import Block, VisionTransformer
from timm.models.vision_transformer_sam import (
    Attention,
    VisionTransformerSAM,
    get_decomposed_rel_pos_bias,
)
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

from regdata.cellvit.networks import config
from regdata.cellvit.networks.blocks import ConvBlock
from regdata.errors import RegdataError

_NORM = partial(nn.LayerNorm, eps=1e-6)
_GATED = partial(GluMlp, gate_last=False)
_MLPS = {"gelu": (Mlp, nn.GELU), "geglu": (_GATED, nn.GELU), "swiglu": (_GATED, nn.SiLU)}


@dataclass(frozen=True)
class Encoded:
    """What the decoder needs of an image.

    Attributes
    ----------
    maps
        Three maps (B, C, h, w) for decoder1, 2 and 3.
    tokens
        (B, D, h, w), the last block's output, before any norm.
    pooled
        (B, D') for the tissue head; None where the encoder has none.
    """

    maps: tuple[Tensor, Tensor, Tensor]
    tokens: Tensor
    pooled: Tensor | None = None


def build_encoder(described: config.Encoder) -> nn.Module:
    """The encoder of a config; maps (B, 3, H, W) to `Encoded`."""
    match described:
        case config.StemEncoder():
            return StemEncoder(described)
        case config.VitEncoder():
            return VitEncoder(described)
        case config.SamEncoder():
            return SamEncoder(described)


class StemEncoder(nn.Module):
    """Four halvings of the image, then transformer blocks (timm) over windows of tokens."""

    def __init__(self, described: config.StemEncoder) -> None:
        super().__init__()
        widths = (3, *described.stem_widths)
        if described.backbone == "plain":
            self.stages = nn.ModuleList(
                nn.Sequential(ConvBlock(a, b, stride=2), ConvBlock(b, b))
                for a, b in pairwise(widths)
            )
            self.patches = nn.Conv2d(widths[-1], described.width, 2, stride=2)
        else:
            self.backbone, deepest = _backbone(described)
            self.patches = nn.Conv2d(deepest, described.width, 1)
        self.described = described
        self.window = described.window
        self.pos_embed = nn.Parameter(torch.zeros(1, self.window**2, described.width))
        self.blocks = nn.Sequential(
            *(
                Block(described.width, described.heads, qkv_bias=True)
                for _ in range(described.depth)
            )
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor) -> Encoded:
        """Maps at 1/2, 1/4 and 1/8 of the image, tokens at 1/16."""
        maps = self._maps(image)
        return Encoded((maps[0], maps[1], maps[2]), self._attend(self.patches(maps[-1])))

    def _maps(self, image: Tensor) -> list[Tensor]:
        """Maps at 1/2, 1/4, 1/8 and, of a backbone, 1/16."""
        if self.described.backbone != "plain":
            return list(self.backbone(image))
        x, maps = image, []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def _attend(self, patches: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w); zero-padded up to whole windows inside."""
        batch, dim, height, width = patches.shape
        side = self.window
        rows, cols = -(-height // side), -(-width // side)
        x = pad(patches, (0, cols * side - width, 0, rows * side - height))
        x = x.reshape(batch, dim, rows, side, cols, side).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(batch * rows * cols, side * side, dim)
        x = self.blocks(x + self.pos_embed)
        x = x.reshape(batch, rows, cols, side, side, dim).permute(0, 5, 1, 3, 2, 4)
        whole: Tensor = x.reshape(batch, dim, rows * side, cols * side)
        return whole[:, :, :height, :width]


def _backbone(described: config.StemEncoder) -> tuple[nn.Module, int]:
    """EfficientNet-Lite of timm down to 1/16 of the resolution, and its channels there."""
    name = f"tf_{described.backbone}"
    backbone = create_model(name, features_only=True, out_indices=(0, 1, 2, 3))
    widths = tuple(backbone.feature_info.channels())
    if widths[:3] != described.stem_widths:
        raise RegdataError(
            f"expected stem_widths = {list(widths[:3])}, those of {described.backbone}, "
            f"got {list(described.stem_widths)}"
        )
    return backbone, widths[3]


class VitEncoder(VisionTransformer):  # type: ignore[misc]
    """timm's ViT with its block outputs as maps; entry names are timm's."""

    def __init__(self, described: config.VitEncoder) -> None:
        # a block passes its own activation to the MLP, whatever default the MLP has
        mlp, activation = _MLPS[described.mlp]
        super().__init__(
            img_size=described.image,
            patch_size=described.patch,
            num_classes=0,
            embed_dim=described.width,
            depth=described.depth,
            num_heads=described.heads,
            mlp_ratio=described.mlp_ratio,
            init_values=1e-5 if described.layer_scale else None,
            no_embed_class=not described.positions_of_prefix,
            reg_tokens=described.registers,
            final_norm=described.final_norm != "absent",
            dynamic_img_size=True,
            norm_layer=_NORM,
            mlp_layer=mlp,
            act_layer=activation,
        )
        self.described = described

    def forward(self, image: Tensor) -> Encoded:
        """Maps and tokens at the pitch of the patches."""
        x = self.patch_embed(image)
        height, width = x.shape[1:3]
        if self.described.resampling == "dino":
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1)
            x = x + _dino_positions(self.pos_embed, height, width)
        else:
            x = self._pos_embed(x)
        maps = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self.described.taps:
                grid = x[:, self.num_prefix_tokens :].transpose(1, 2)
                maps.append(grid.reshape(*grid.shape[:2], height, width))
        pooled = self.norm(x)[:, 0] if self.described.final_norm == "applied" else x[:, 0]
        return Encoded((maps[0], maps[1], maps[2]), maps[3], pooled)


def _dino_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """DINO's position embedding for height x width patches, class token first.

    The scale factors, 0.1 included, set where the grid is sampled: DINO adds it against rounding
    of the size, and so shifts every position a little.
    """
    side = round((positions.shape[1] - 1) ** 0.5)
    if height == width == side:
        return positions
    grid = positions[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
    factors = ((height + 0.1) / side, (width + 0.1) / side)
    grid = interpolate(grid.float(), scale_factor=factors, mode="bicubic").to(positions.dtype)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class SamEncoder(VisionTransformerSAM):  # type: ignore[misc]
    """timm's SAM encoder with its block outputs as maps; positions are cropped, not resampled."""

    def __init__(self, described: config.SamEncoder) -> None:
        super().__init__(
            img_size=described.image,
            patch_size=described.patch,
            num_classes=0,
            embed_dim=described.width,
            depth=described.depth,
            num_heads=described.heads,
            norm_layer=_NORM,
            use_rel_pos=True,
            window_size=described.window,
            global_attn_indexes=tuple(tap - 1 for tap in described.taps),
            neck_chans=described.neck,
        )
        self.described = described
        for block in self.blocks:
            block.attn.__class__ = RelativeAttention

    def forward(self, image: Tensor) -> Encoded:
        """Maps and tokens at the pitch of the patches."""
        x = self.patch_embed(image)
        height, width = x.shape[1:3]
        side = self.pos_embed.shape[1]
        if max(height, width) > side:
            raise RegdataError(
                f"expected an image of at most {side * self.described.patch} px a side (this "
                f"encoder has no positions beyond), got {image.shape[-1]} x {image.shape[-2]}; "
                "use smaller tiles"
            )
        x = x + self.pos_embed[:, :height, :width]
        maps = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self.described.taps:
                maps.append(x.permute(0, 3, 1, 2))
        pooled = self.neck(maps[3]).mean((2, 3))
        return Encoded((maps[0], maps[1], maps[2]), maps[3], pooled)


class RelativeAttention(Attention):  # type: ignore[misc]
    """timm's attention with relative positions, in four dimensions.

    timm folds the heads into the batch; fused attention kernels want them apart.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, D) -> (B, H, W, D)."""
        batch, height, width, dim = x.shape
        count = height * width
        qkv = self.qkv(x).reshape(batch, count, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        size = (height, width)
        flat = q.reshape(batch * self.num_heads, count, -1)
        bias = get_decomposed_rel_pos_bias(flat, self.rel_pos_h, self.rel_pos_w, size, size)
        bias = bias.reshape(batch, self.num_heads, count, count).to(q.dtype)
        x = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(x.transpose(1, 2).reshape(batch, height, width, dim))
        return out
