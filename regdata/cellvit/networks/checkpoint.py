"""Files of network weights: which network a file holds, and the network with its weights.

Ours are safetensors with the config as JSON; published ones are PyTorch files, whose network is
told by their entries. Entry names are mapped to ours, which are timm's in the encoder and
CellViT's in the decoder, and every entry must fit.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from regdata.cellvit.networks.config import CellViTConfig
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.published_heads import flat_settings
from regdata.cellvit.networks.variants import cellvit_config, histoplus_config
from regdata.errors import RegdataError
from regdata.paths import StrPath

State = dict[str, Tensor]

CELLVIT_NAMES = (
    (r"^(encoder\.head|classifier_head)\.", "tissue_head."),
    (r"^(encoder\.blocks\.\d+\.mlp)\.lin([12])\.", r"\1.fc\2."),
)
_HISTOPLUS_NAMES = (
    (r"^backbone\.feature_extractor\.(model\.)?", "encoder."),
    (r"^(encoder\.blocks\.\d+\.mlp)\.w12\.", r"\1.fc1."),
    (r"^(encoder\.blocks\.\d+\.mlp)\.w3\.", r"\1.fc2."),
    (r"^neck\.necks\.", "decoder"),
    (r"^np_branch\.", "nuclei_binary_map_decoder."),
    (r"^hv_branch\.", "hv_map_decoder."),
    (r"^tp_branch\.", "nuclei_type_maps_decoder."),
)
"""Published names and ours, as patterns and replacements, applied in order."""


def load_checkpoint(path: Path | str) -> CellViT:
    """Load a network from any file of weights that holds a whole one.

    Parameters
    ----------
    path
        A `.safetensors` file of this package, a published CellViT or CellViT++ checkpoint, or
        HistoPLUS weights. No code in the file is run.

    Returns
    -------
    CellViT
        In evaluation mode, float32, on the CPU. It maps (B, 3, H, W) to a dict of logits;
        `network.config` says which network it is.

    Raises
    ------
    RegdataError
        In one line: the file is missing, is none of these, or its entries do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise RegdataError(f"{path}: no such file of model weights")
    if is_safetensors(path):
        config, state = own_network(*read_safetensors(path), path)
    else:
        config, state = published_network(read_torch(path), path)
    with torch.device("meta"):
        network = CellViT(config)
    check_entries(network.state_dict(), state, path)
    float32 = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    network.load_state_dict(float32, assign=True)
    return network.requires_grad_(False).eval()


def check_entries(
    expected: Mapping[str, Tensor], stored: Mapping[str, Tensor], path: StrPath
) -> None:
    """Refuse weights that do not fit, naming the first differences."""
    path = Path(path)
    shapes, got = _shapes(expected), _shapes(stored)
    wrong = sorted(n for n in shapes.keys() | got.keys() if shapes.get(n) != got.get(n))
    if wrong:
        first = ", ".join(
            f"{name} (expected {shapes.get(name, 'nothing')}, got {got.get(name, 'nothing')})"
            for name in wrong[:3]
        )
        raise RegdataError(
            f"{path} does not fit the network it describes: {len(wrong)} entries differ, first "
            f"{first}; download or export it again"
        )


def rename(names: tuple[tuple[str, str], ...], state: State) -> State:
    """The same entries under the names that the patterns give."""

    def renamed(name: str) -> str:
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        return name

    return {renamed(name): value for name, value in state.items()}


def read_torch(path: Path, device: str = "cpu") -> dict[str, Any]:
    """The dictionary in a PyTorch file; nothing in it is run.

    With the device "meta" entries have a shape and no numbers, and need no memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses
            content = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise RegdataError(
            f"{path} cannot be read as model weights ({_why_unreadable(path, error)}); expected a "
            "regdata .safetensors, a CellViT checkpoint or HistoPLUS weights"
        ) from error
    if not isinstance(content, dict) or not content:
        kind = "nothing" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise RegdataError(f"{path} holds {kind}; expected a dictionary of weights")
    return content


def _why_unreadable(path: Path, error: Exception) -> str:
    """What a file is that PyTorch refuses; its own words are for programmers."""
    if unsafe := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it holds a {unsafe[1]} object"
    if "TorchScript" in str(error):
        return "it is a TorchScript program"
    if path.stat().st_size == 0:
        return "it is empty"
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and zipfile.is_zipfile(path):
        return "it is a zip archive without PyTorch weights; unpack it"
    return "it is cut short or damaged" if zipped else "it is no PyTorch file, or a damaged one"


def is_safetensors(path: Path) -> bool:
    """By its name, or because it begins with the length of a JSON header."""
    try:
        with path.open("rb") as file:
            header = file.read(9)[8:9] == b"{"
    except OSError as error:
        raise RegdataError(f"{path} cannot be read: {error.strerror}") from error
    return header or path.suffix == ".safetensors"


def read_safetensors(path: Path, device: str = "cpu") -> tuple[str | None, State]:
    """The network's description in a safetensors file, if there is one, and the entries."""
    try:
        with safe_open(path, "pt") as file:
            described = (file.metadata() or {}).get("regdata")
            # entries are read when they are used: on "meta" never
            return described, {k: file.get_tensor(k).to(device) for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise RegdataError(f"{path} is a damaged safetensors file ({error})") from error


def own_network(described: str | None, state: State, path: Path) -> tuple[CellViTConfig, State]:
    """Config and entries of a network of ours, from what its file holds."""
    if described is None:
        raise RegdataError(f"{path} does not say which network it holds; expected regdata weights")
    try:
        return CellViTConfig.model_validate_json(described), state
    except ValidationError as error:
        first = error.errors()[0]
        raise RegdataError(
            f"{path} describes an unknown network ({'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}); it may come from another version of regdata"
        ) from error


def published_network(content: Mapping[str, Any], path: Path) -> tuple[CellViTConfig, State]:
    """As `identify`; errors name the file."""
    try:
        return identify(content)
    except KeyError as error:
        raise RegdataError(
            f"{path} lacks the entry {error.args[0]}; download it again, or pass a whole network"
        ) from None
    except (ValueError, IndexError):
        raise RegdataError(
            f"{path} has entries of other shapes than a CellViT or HistoPLUS network; pass one"
        ) from None
    except RegdataError as error:
        raise RegdataError(f"{path} {error.message}") from None


def identify(content: Mapping[str, Any]) -> tuple[CellViTConfig, State]:
    """Which network the dictionary of a published file holds.

    Returns
    -------
    config, state
        Of the network, and its entries under our names.

    Raises
    ------
    RegdataError, KeyError
        It is none; an entry is missing that would tell which.
    """
    state = content.get("model_state_dict", content.get("state_dict", content))
    if not isinstance(state, Mapping):
        raise RegdataError("has no entries of weights in its model_state_dict")
    state = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if any(name.startswith("backbone.feature_extractor.") for name in state):
        state = rename(_HISTOPLUS_NAMES, state)
        # the file keeps the backbone's norm, which the network does not have
        state = {name: v for name, v in state.items() if not name.startswith("encoder.norm.")}
        return histoplus_config(_shapes(state)), state
    if not any(name.startswith("nuclei_binary_map_decoder.") for name in state):
        raise RegdataError(_what_it_is(content, state))
    settings = flat_settings(content.get("config"))
    config = cellvit_config(_shapes(state), settings, content.get("arch"))
    return config, rename(CELLVIT_NAMES, state)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _what_it_is(content: Mapping[str, Any], state: State) -> str:
    """Why a PyTorch file is no whole network, with the way on where there is one."""
    if "fc1.weight" in state:
        return "is a token classifier, not a network; pass it as `classifier=`"
    if {"network", "optimiser"} <= content.keys():
        return "is the state of a training to resume; pass the model.safetensors beside it"
    encoder = ("teacher", "image_encoder.", "blocks.")
    if any(str(name).startswith(encoder) for name in content):
        return "holds only an encoder, without decoders; it can start a training, not find nuclei"
    names = ", ".join(str(name) for name in list(content)[:3])
    return f"is no CellViT or HistoPLUS network (its first entries: {names})"
