"""The frozen description of one CellViT network."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Three = tuple[float, float, float]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StemEncoder(_Frozen):
    """A small ViT behind a convolutional stem: the encoder of the built-in model.

    The stem gives the skip connections at 1/2, 1/4 and 1/8 of the resolution, so that a network
    of few parameters, trained on few images, need not squeeze fine outlines through its tokens.
    The blocks attend within windows of `window` x `window` tokens: cost grows linearly with the
    tile, and a tile of any size looks to the encoder like the crops it was trained on.

    Attributes
    ----------
    backbone
        "plain", convolutions of `stem_widths` channels that halve the resolution three times, or
        timm's EfficientNet-Lite down to 1/16, which can start from weights learned on ImageNet.
    stem_widths
        Channels at 1/2, 1/4 and 1/8; a backbone has its own.
    """

    kind: Literal["stem"] = "stem"
    backbone: Literal["plain", "efficientnet_lite0", "efficientnet_lite2"] = "plain"
    width: int = 256
    depth: int = 8
    heads: int = 4
    window: int = 16
    stem_widths: tuple[int, int, int] = (32, 64, 128)

    @property
    def patch(self) -> int:
        """Side of a token in pixels: the stem halves three times, the patch layer once."""
        return 16


class VitEncoder(_Frozen):
    """A plain ViT (HIPT-256, UNI, Virchow, H0-mini and whatever has their shape).

    Attributes
    ----------
    image
        Side in pixels of the images the position embedding was made for.
    taps
        Blocks, counted from 1, whose outputs feed the decoder.
    mlp
        geglu and swiglu gate one half of a wider layer with the other. CellViT's Virchow uses
        geglu although Virchow itself was trained with swiglu; its weights were tuned that way.
    positions_of_prefix
        Whether class and register tokens have a position embedding too.
    resampling
        How positions are fitted to other images: timm's, or DINO's with its odd +0.1 in the
        scale factors, which HIPT-256 needs.
    final_norm
        The norm behind the last block: absent, there but not applied (UNI, Virchow), or applied
        to the class token before the tissue head. Maps and tokens never go through it.
    whole_patches
        Shrink the image to whole patches first (mode "area"), and resize the last maps back.
    """

    kind: Literal["vit"] = "vit"
    width: int
    depth: int
    heads: int
    patch: int = 16
    image: int = 224
    taps: tuple[int, int, int, int]
    mlp: Literal["gelu", "geglu", "swiglu"] = "gelu"
    mlp_ratio: float = 4.0
    layer_scale: bool = False
    registers: int = 0
    positions_of_prefix: bool = True
    resampling: Literal["timm", "dino"] = "timm"
    final_norm: Literal["absent", "unused", "applied"] = "unused"
    whole_patches: bool = False


class SamEncoder(_Frozen):
    """The image encoder of Segment Anything: windows, a few global blocks, relative positions."""

    kind: Literal["sam"] = "sam"
    width: int
    depth: int
    heads: int
    patch: int = 16
    image: int = 1024
    window: int = 14
    neck: int = 256
    taps: tuple[int, int, int, int]
    """Blocks, counted from 1, whose outputs feed the decoder; these attend globally."""


Encoder = StemEncoder | VitEncoder | SamEncoder


class Decoder(_Frozen):
    """Widths of the UNETR-like decoder.

    Attributes
    ----------
    image
        Widths of the two convolutions on the image itself.
    skips
        Widths on the way from the encoder to the decoder, for decoder1, 2 and 3; every step
        doubles the resolution, except behind a stem, whose maps have it already.
    branch
        Widths of a branch at 1/8, 1/4, 1/2 and full resolution.
    depths
        Convolutions of a branch at 1/8, 1/4 and 1/2.
    """

    image: tuple[int, int] = (16, 16)
    skips: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((32,), (64,), (128,))
    branch: tuple[int, int, int, int] = (128, 64, 32, 16)
    depths: tuple[int, int, int] = (2, 2, 2)


class CellViTConfig(_Frozen):
    """Everything needed to build a network; stored as JSON beside its weights.

    The built-in network is `regdata.cellvit.networks.trainable.DEFAULT`.

    Attributes
    ----------
    mpp
        Micrometres per pixel of the images it was trained on.
    classes
        Of nuclei, background first.
    tissues
        Number of tissue classes of the head on the pooled token; 0 = no such head.
    regression
        Whether the binary branch has two more channels, the `regression_map`.
    token_head
        Whether a linear layer tells the classes of nuclei from each token. It is trained along,
        so that tokens, which train classifiers later, keep the classes apart.
    mean, std
        Of RGB in 0..1, for normalisation.
    tile, overlap
        In pixels, for whole slides.
    pooling
        How a nucleus's token is made: "nucleus", the mean weighed by its pixels in each patch,
        or "box", the mean over the patches its bounding box touches, as published.
    """

    name: str = "default"
    mpp: float = 0.25
    classes: tuple[str, ...] = ("background", "misc", "inflammatory", "epithelial", "spindle")
    tissues: int = 0
    regression: bool = False
    token_head: bool = False
    encoder: Annotated[Encoder, Field(discriminator="kind")] = StemEncoder()
    decoder: Decoder = Decoder()
    mean: Three = (0.5, 0.5, 0.5)
    std: Three = (0.5, 0.5, 0.5)
    tile: int = 1024
    overlap: int = 64
    pooling: Literal["nucleus", "box"] = "nucleus"

    @property
    def token_width(self) -> int:
        """Channels of a token."""
        return self.encoder.width

    @property
    def multiple(self) -> int:
        """Sides of an image must be multiples of it."""
        whole = self.encoder.kind == "vit" and self.encoder.whole_patches
        return 1 if whole else self.encoder.patch

    @property
    def window(self) -> int:
        """Side in pixels of what the encoder sees together; images are padded to whole windows."""
        if self.encoder.kind == "stem":
            return self.encoder.window * self.encoder.patch
        return self.multiple
