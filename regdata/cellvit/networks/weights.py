"""Networks ready to run: weights, hash and device together."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch

from regdata.cells import ModelRecord
from regdata.cellvit.networks.checkpoint import load_checkpoint
from regdata.cellvit.networks.config import CellViTConfig
from regdata.cellvit.networks.fold import fold
from regdata.cellvit.networks.network import CellViT
from regdata.errors import RegdataError
from regdata.paths import StrPath


@dataclass(frozen=True)
class Model:
    """A network ready to run.

    Attributes
    ----------
    network
        In evaluation mode, rewritten for inference.
    sha256
        Of the file of weights; a token classifier only works with tokens of the same file.
    device
        Where it runs.
    precision
        Type of the arithmetic where autocast may choose; float32 for none of that.
    """

    network: CellViT
    sha256: str
    device: torch.device
    precision: torch.dtype = torch.float32

    @property
    def config(self) -> CellViTConfig:
        """The network's description."""
        return self.network.config

    def describe(self) -> ModelRecord:
        """What a file keeps of the model its tokens come from."""
        return ModelRecord(
            name=self.config.name,
            sha256=self.sha256,
            mpp=self.config.mpp,
            token_width=self.config.token_width,
            precision=str(self.precision).removeprefix("torch."),
        )


def default_weights() -> Path:
    """The file of the built-in model's weights."""
    return Path(str(resources.files("regdata.cellvit.networks") / "default.safetensors"))


def pick_device(name: str) -> torch.device:
    """The device called `name`: auto (a GPU if there is one), cpu or cuda."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RegdataError(f"no CUDA device for `device={name!r}`; use `device='cpu'`")
    try:
        return torch.device(name)
    except RuntimeError:
        raise RegdataError(f"expected `device=` auto, cpu or cuda, got {name}") from None


def fast_precision(device: torch.device) -> torch.dtype:
    """The fastest type that loses nothing that matters: bf16 where the hardware has it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if native() else torch.float32


def load_model(path: StrPath | None = None, device: str = "auto", exact: bool = False) -> Model:
    """Load a network for inference.

    Parameters
    ----------
    path
        Any file that `load_checkpoint` reads; the built-in model by default.
    device
        auto, cpu or cuda.
    exact
        Calculate in float32 throughout; by default in bf16 where the hardware has it.

    Raises
    ------
    RegdataError
        When the file is missing, is none of these or does not fit the network it describes.
    """
    path = None if path is None else Path(path)
    path = path or default_weights()
    where = pick_device(device)
    network = fold(load_checkpoint(path))
    network = network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    precision = torch.float32 if exact else fast_precision(where)
    return Model(network, file_sha256(path), where, precision)


def file_sha256(path: Path) -> str:
    """Hash of a file, read in a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
