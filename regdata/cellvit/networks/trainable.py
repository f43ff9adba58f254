"""The networks that can be trained, by name."""

from regdata.cellvit.networks.config import (
    CellViTConfig,
    Encoder,
    SamEncoder,
    StemEncoder,
    VitEncoder,
)
from regdata.cellvit.networks.variants import PANNUKE, TAPS, histoplus_config, published_decoder
from regdata.errors import RegdataError

_VIRCHOW = VitEncoder(
    width=1280,
    depth=32,
    heads=16,
    patch=14,
    taps=TAPS[32],
    mlp="geglu",
    mlp_ratio=5.3375,
    layer_scale=True,
    whole_patches=True,
)
_DEFAULT = CellViTConfig(
    encoder=StemEncoder(
        backbone="efficientnet_lite2", stem_widths=(16, 24, 48), width=256, depth=4, heads=4
    ),
    token_head=True,
)
"""The built-in network; its widths were chosen by the study in docs/results.md."""
_ENCODERS: dict[str, Encoder] = {
    "CellViT-256": VitEncoder(
        width=384, depth=12, heads=6, taps=TAPS[12], resampling="dino", final_norm="applied"
    ),
    "CellViT-SAM-B": SamEncoder(width=768, depth=12, heads=12, taps=TAPS[12]),
    "CellViT-SAM-L": SamEncoder(width=1024, depth=24, heads=16, taps=TAPS[24]),
    "CellViT-SAM-H": SamEncoder(width=1280, depth=32, heads=16, taps=TAPS[32]),
    "CellViT-UNI": VitEncoder(width=1024, depth=24, heads=16, taps=TAPS[24], layer_scale=True),
    "CellViT-Virchow": _VIRCHOW,
    "CellViT-Virchow2": _VIRCHOW.model_copy(update={"registers": 4}),
}


def trainable_config(name: str) -> CellViTConfig:
    """The config of a network by its name, for training: "default" or a published one.

    Raises
    ------
    RegdataError
        There is none of that name.
    """
    if name == "default":
        return _DEFAULT
    if name in ("HistoPLUS-40x", "HistoPLUS-20x"):
        patches = 1024 if name == "HistoPLUS-40x" else 256
        return histoplus_config({"encoder.pos_embed": (1, patches, 768)})
    if name not in _ENCODERS:
        known = ", ".join(["default", *_ENCODERS, "HistoPLUS-40x", "HistoPLUS-20x"])
        raise RegdataError(f"expected network.variant to be one of {known}, got {name}")
    encoder = _ENCODERS[name]
    return CellViTConfig(
        name=name,
        classes=PANNUKE,
        tissues=19,
        encoder=encoder,
        decoder=published_decoder(encoder.width),
        pooling="box",
    )
