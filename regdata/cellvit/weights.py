"""Loading networks: a file of weights that says what it is."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from regdata.cellvit.config import CellViTConfig
from regdata.cellvit.network import CellViT
from regdata.errors import RegdataError


@dataclass(frozen=True)
class Model:
    """A network ready to run.

    Attributes
    ----------
    network
        In evaluation mode.
    sha256
        Of the file of weights; a token classifier only works with tokens of the same file.
    device
        Where it runs.
    """

    network: CellViT
    sha256: str
    device: torch.device

    @property
    def config(self) -> CellViTConfig:
        """The network's description."""
        return self.network.config

    def describe(self) -> dict[str, str | float | int]:
        """What a file keeps of the model its tokens come from."""
        config = self.config
        return {
            "name": config.name,
            "sha256": self.sha256,
            "mpp": config.mpp,
            "token_width": config.embed_dim,
        }


def default_weights() -> Path:
    """The file of the built-in model's weights."""
    return Path(str(resources.files("regdata.cellvit") / "default.safetensors"))


def pick_device(name: str) -> torch.device:
    """The device called `name`: auto (a GPU if there is one), cpu or cuda."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RegdataError(f"no CUDA device for --device {name}; use --device cpu")
    return torch.device(name)


def load_model(path: Path | None = None, device: str = "auto") -> Model:
    """Load a network.

    Parameters
    ----------
    path
        A `.safetensors` file written by this package; the built-in model by default.
    device
        auto, cpu or cuda.

    Raises
    ------
    RegdataError
        When the file is missing, is none of ours or does not fit its own description.
    """
    path = path or default_weights()
    if not path.is_file():
        raise RegdataError(f"{path}: no such file of model weights")
    try:
        with safe_open(path, "pt") as file:
            described = (file.metadata() or {}).get("regdata")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise RegdataError(f"{path} is not a safetensors file of weights ({error})") from error
    if described is None:
        raise RegdataError(f"{path} does not say which network it holds; expected regdata weights")
    try:
        network = CellViT(CellViTConfig.model_validate_json(described))
    except ValidationError as error:
        first = error.errors()[0]
        raise RegdataError(
            f"{path} describes an unknown network ({'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}); it may come from a newer regdata"
        ) from error
    _check_state(network, state, path)
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    )
    where = pick_device(device)
    network = network.to(where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Model(network, hashlib.sha256(path.read_bytes()).hexdigest(), where)


def _check_state(network: CellViT, state: dict[str, torch.Tensor], path: Path) -> None:
    """Refuse weights that do not fit, naming the first difference."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    wrong = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if wrong:
        name = wrong[0]
        raise RegdataError(
            f"{path} does not fit the network it describes: {len(wrong)} entries differ, first "
            f"{name}: expected {expected.get(name, 'nothing')}, found {found.get(name, 'nothing')}"
        )
