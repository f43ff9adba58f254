"""Files that hold an encoder alone, to start a training from: which one it is."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regdata.cellvit.networks.config import CellViTConfig
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.pretrained import load_encoder
from regdata.cellvit.networks.variants import PUBLISHED, Shapes, cellvit_config, histoplus_config
from regdata.errors import RegdataError

_PATCHES = "patch_embed.proj.weight"
_NETWORK = ("nuclei_binary_map_decoder.", "backbone.feature_extractor.")
# what the config of a network is made from besides its encoder, with PanNuke's six classes
_DECODERS = {
    "nuclei_binary_map_decoder.decoder0_header.2.weight": (2, 64, 1, 1),
    "nuclei_type_maps_decoder.decoder0_header.2.weight": (6, 64, 1, 1),
}
_GENERIC = "CellViT-generic"


@dataclass(frozen=True, kw_only=True)
class EncoderFacts:
    """An encoder alone.

    Attributes
    ----------
    stored
        How the file holds it.
    networks
        Names of the networks whose encoder has its shape; empty where none has.
    problem
        Why `load_encoder` refuses it for these; None where it does not.
    """

    stored: str
    width: int
    depth: int
    patch: int
    parameters: int
    networks: tuple[str, ...]
    problem: str | None


def find_encoder(content: Mapping[str, Any], path: Path) -> EncoderFacts | None:
    """The encoder in a file that holds nothing else of a network.

    Parameters
    ----------
    content
        What the file holds; entries may be on the device "meta".
    path
        The file, for `load_encoder` to try.

    Returns
    -------
    EncoderFacts or None
        None where there is no encoder, or a whole network.
    """
    nested = content.get("teacher", content.get("model", content.get("state_dict", content)))
    state = {str(k): v for k, v in nested.items()} if isinstance(nested, Mapping) else {}
    state = {k: v for k, v in state.items() if isinstance(v, Tensor)}
    patches = next((name for name in state if name.endswith(_PATCHES)), None)
    if patches is None or any(name.startswith(_NETWORK) for name in state):
        return None
    prefix = patches.removesuffix(_PATCHES)
    entries = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    stored = "Segment Anything (its image encoder)" if "image_encoder" in prefix else "timm's names"
    if "teacher" in content:
        stored = "DINO training (its teacher)"
    return _facts({f"encoder.{k}": tuple(v.shape) for k, v in entries.items()}, stored, path)


def _facts(shapes: Shapes, stored: str, path: Path) -> EncoderFacts:
    """What the shapes of the entries tell."""
    try:
        config = _network_around(shapes)
    except (KeyError, ValueError, IndexError, RegdataError) as error:
        reason = error.message if isinstance(error, RegdataError) else "unusual shapes"
        reason = f"no entry {error.args[0]}" if isinstance(error, KeyError) else reason
        raise RegdataError(
            f"{path} holds an encoder that no network here has ({reason}); expected a plain ViT "
            "or Segment Anything's"
        ) from None
    encoder = config.encoder
    like = {v.encoder for v in PUBLISHED if v.name == config.name}
    networks = tuple(
        v.name
        for v in PUBLISHED
        if v.encoder in like and (v.token_width, v.patch) == (encoder.width, encoder.patch)
    )
    networks = (_GENERIC,) if config.name == _GENERIC else networks
    return EncoderFacts(
        stored=stored,
        width=encoder.width,
        depth=encoder.depth,
        patch=encoder.patch,
        parameters=sum(
            math.prod(s) for n, s in shapes.items() if not n.startswith("encoder.head.")
        ),
        networks=networks,
        problem=_misfit(config, path) if networks else None,
    )


def _network_around(shapes: Shapes) -> CellViTConfig:
    """The config of the network that such an encoder would be part of."""
    width, positions = shapes[f"encoder.{_PATCHES}"][0], shapes["encoder.pos_embed"][1]
    if "encoder.reg_token" in shapes and math.isqrt(positions) ** 2 == positions:
        return histoplus_config(shapes)  # only H0-mini has registers without positions
    # heads and taps change no shape
    settings = {"model.num_heads": 1, "model.extract_layers": (1, 2, 3, 4)}
    config = cellvit_config({**shapes, **_DECODERS}, settings, None)
    known = {v.name: (v.token_width, v.patch) for v in PUBLISHED}
    plain = "encoder.blocks.0.ls1.gamma" not in shapes and "encoder.neck.0.weight" not in shapes
    if plain and known.get(config.name) != (width, config.encoder.patch):
        return config.model_copy(update={"name": _GENERIC})
    return config


def _misfit(config: CellViTConfig, path: Path) -> str | None:
    """What `load_encoder` says of the file, without memory for a network."""
    with torch.device("meta"):
        network = CellViT(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that nothing is copied to "meta"
            load_encoder(network, path)
    except RegdataError as error:
        return error.message
    return None
