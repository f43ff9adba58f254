"""In what the published networks differ from timm's encoders and from what one would expect.

All of it decides numbers, and is reproduced when such a network is loaded.
"""

from regdata.cellvit.networks.config import CellViTConfig, StemEncoder, VitEncoder


def differences(config: CellViTConfig) -> tuple[str, ...]:
    """One clause for each difference; none for networks of our own design."""
    if isinstance(config.encoder, StemEncoder):
        return ()
    return (*_encoder(config), *_reading(config))


def _encoder(config: CellViTConfig) -> tuple[str, ...]:
    encoder = config.encoder
    if not isinstance(encoder, VitEncoder):
        return ("positions are cropped to the tile (1024 px at most), not resampled",)
    grid = encoder.image // encoder.patch
    norm = {
        "absent": "",
        "unused": "the final norm in the file is never applied",
        "applied": "the final norm serves the tissue head alone; maps and tokens come before it",
    }
    clauses = (
        (
            encoder.resampling == "dino",
            f"positions are resampled by DINO's factors (patches + 0.1) / {grid}, not to the size",
        ),
        (norm[encoder.final_norm] != "", norm[encoder.final_norm]),
        (
            encoder.mlp == "geglu",
            "the gated MLP uses GELU, as in CellViT; Virchow itself was trained with SiLU",
        ),
        (
            encoder.whole_patches,
            f"images shrink to whole patches of {encoder.patch} px (256 -> 252, 1024 -> 1022); the "
            "last maps grow back",
        ),
        (
            encoder.patch != 16 and not encoder.whole_patches,
            f"maps grow to 16/{encoder.patch} of the image and are resized before the last header",
        ),
    )
    return tuple(clause for applies, clause in clauses if applies)


def _reading(config: CellViTConfig) -> tuple[str, ...]:
    """How its maps are read, as `inference.usual_settings` has it."""
    if config.pooling != "box":
        return ()
    return (
        "a nucleus's token is the mean over all patches its bounding box touches",
        "HV gradients are normalised over the whole tile (`normalise='tile'`), so an outline "
        "depends on the rest of its tile",
    )
