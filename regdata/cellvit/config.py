"""The frozen description of one CellViT network."""

from pydantic import BaseModel, ConfigDict


class CellViTConfig(BaseModel):
    """Everything needed to build a network; stored as JSON beside its weights.

    The defaults describe the built-in model: a small ViT behind a convolutional stem. The stem
    gives the skip connections at 1/2, 1/4 and 1/8 of the resolution, so that a network of few
    parameters, trained on few images, need not squeeze fine outlines through its tokens. The
    encoder attends within windows of `window` x `window` tokens: cost grows linearly with the
    tile, and a tile of any size looks to the encoder like the crops it was trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    mpp: float = 0.25
    classes: tuple[str, ...] = ("background", "misc", "inflammatory", "epithelial", "spindle")
    embed_dim: int = 256
    depth: int = 8
    heads: int = 4
    window: int = 16
    stem_widths: tuple[int, int, int] = (32, 64, 128)
    decoder_widths: tuple[int, int, int, int] = (128, 64, 32, 16)
    """Channels of the decoder at 1/8, 1/4, 1/2 and full resolution."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def patch(self) -> int:
        """Side of one token in pixels: the stem halves three times, the patch layer once."""
        return 16
