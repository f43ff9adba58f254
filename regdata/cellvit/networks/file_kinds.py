"""What a file of weights is: a whole network, a token classifier, or an encoder alone.

Entries are looked at without their numbers, and networks are built without memory for them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from regdata.cellvit.networks.catalogue import ENCODERS
from regdata.cellvit.networks.checkpoint import (
    State,
    check_entries,
    is_safetensors,
    own_network,
    published_network,
    read_safetensors,
    read_torch,
)
from regdata.cellvit.networks.classifier import ClassifierInfo, load_classifier
from regdata.cellvit.networks.config import CellViTConfig, StemEncoder
from regdata.cellvit.networks.differences import differences
from regdata.cellvit.networks.encoder_file import EncoderFacts, find_encoder
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.published_heads import ARCH
from regdata.cellvit.networks.variants import CELLVIT, CELLVIT_TERMS, PUBLISHED
from regdata.cellvit.networks.weights import default_weights, file_sha256
from regdata.errors import RegdataError
from regdata.paths import StrPath

_MAKERS = "that of its makers"


@dataclass(frozen=True)
class NetworkFacts:
    """A whole network.

    Attributes
    ----------
    encoder
        In words.
    differences
        From timm and from what one would expect; reproduced when it is loaded.
    """

    config: CellViTConfig
    encoder: str
    parameters: int
    differences: tuple[str, ...]
    problem: str | None


Facts = NetworkFacts | ClassifierInfo | EncoderFacts


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file of weights is.

    Attributes
    ----------
    size
        In bytes.
    about
        Of a network, a token classifier or an encoder alone.
    licence, source
        Terms of the weights of this kind that were published, and what to cite; for the built-in
        model its card.
    built_in
        Whether it is the file that comes with the package.
    """

    path: Path
    size: int
    sha256: str
    about: Facts
    licence: str
    source: str
    built_in: bool

    @property
    def kind(self) -> str:
        """In a word."""
        kinds = {NetworkFacts: "network", ClassifierInfo: "classifier", EncoderFacts: "encoder"}
        return kinds[type(self.about)]

    @property
    def problem(self) -> str | None:
        """Why the file cannot be loaded although it is of its kind, in one sentence."""
        return None if isinstance(self.about, ClassifierInfo) else self.about.problem

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a classifier without the standardisation of its tokens."""
        if isinstance(self.about, ClassifierInfo):
            facts = self.about.model_dump(mode="json", exclude={"mean", "std"})
        else:
            facts = asdict(self.about)
        if isinstance(self.about, NetworkFacts):
            config = self.about.config
            facts["config"] = config.model_dump(mode="json")
            facts["token_width"] = config.token_width
        shared = {"kind": self.kind, "path": str(self.path), "size": self.size}
        terms = {"sha256": self.sha256, "licence": self.licence, "source": self.source}
        return {**shared, **terms, "built_in": self.built_in, **facts}


def describe(path: StrPath | None = None) -> Description:
    """What a file of weights is.

    Parameters
    ----------
    path
        Any file; the built-in model's by default. No code in it is run.

    Returns
    -------
    Description
        With a `problem` where entries are missing or have other shapes.

    Raises
    ------
    RegdataError
        In one line: there is no such file, or it is none of these.
    """
    path = None if path is None else Path(path)
    path = path or default_weights()
    if path.is_dir():
        raise RegdataError(f"{path} is a folder; expected a file of weights")
    if not path.exists():
        raise RegdataError(f"{path}: no such file")
    about = _about(path)
    sha256 = file_sha256(path)
    built_in = sha256 == file_sha256(default_weights())
    licence, source = _terms(about, built_in)
    return Description(
        path=path,
        size=path.stat().st_size,
        sha256=sha256,
        about=about,
        licence=licence,
        source=source,
        built_in=built_in,
    )


def _about(path: Path) -> Facts:
    """Only what holds a whole network says so last: its errors say what else the file may be."""
    if is_safetensors(path):
        described, state = read_safetensors(path, "meta")
        encoder = find_encoder(state, path) if described is None else None
        return encoder or _network(*own_network(described, state, path), path)
    content = read_torch(path, "meta")
    state = content.get("model_state_dict", content.get("state_dict", content))
    if content.get("arch") == ARCH or (isinstance(state, Mapping) and "fc1.weight" in state):
        return load_classifier(path).info
    encoder = find_encoder(content, path)
    return encoder or _network(*published_network(content, path), path)


def _network(config: CellViTConfig, state: State, path: Path) -> NetworkFacts:
    with torch.device("meta"):
        network = CellViT(config)
    problem = None
    try:
        check_entries(network.state_dict(), state, path)
    except RegdataError as error:
        problem = error.message
    words = next((v.encoder for v in PUBLISHED if v.name == _published_name(config)), None)
    parameters = sum(p.numel() for p in network.parameters())
    words = words or _encoder_words(config)
    return NetworkFacts(config, words, parameters, differences(config), problem)


def _published_name(config: CellViTConfig) -> str:
    """Files for x20 hold the same network."""
    return config.name.removesuffix("-x20")


_STEMS = {
    "plain": "convolutional stem",
    "efficientnet_lite0": "EfficientNet-Lite0 down to 1/16",
    "efficientnet_lite2": "EfficientNet-Lite2 down to 1/16",
}


def _encoder_words(config: CellViTConfig) -> str:
    encoder = config.encoder
    blocks = f"{encoder.depth} transformer blocks of width {encoder.width}"
    if isinstance(encoder, StemEncoder):
        first = _STEMS[encoder.backbone]
        return f"{first}, {blocks} in windows of {config.window} px"
    return f"{encoder.kind.upper()}, {blocks}, {encoder.heads} heads"


def _terms(about: Facts, built_in: bool) -> tuple[str, str]:
    """Licence of the weights, and what to cite."""
    if isinstance(about, ClassifierInfo):
        published = about.training.get("source") == "CellViT++"
        return (CELLVIT_TERMS, CELLVIT) if published else (_MAKERS, "")
    if isinstance(about, EncoderFacts):
        fitting = [w for w in ENCODERS[:-1] if set(w.networks) & set(about.networks)]
        terms = "; ".join(f"{w.licence} if it is {w.name}" for w in fitting)
        return terms or _MAKERS, ""
    if built_in:
        card = default_weights().with_name("default.md")
        return "Apache-2.0, like regdata", str(card)
    name = _published_name(about.config)
    if name == "CellViT-generic":
        return CELLVIT_TERMS, CELLVIT
    variant = next((v for v in PUBLISHED if v.name == name), None)
    return (variant.licence, variant.source) if variant else (_MAKERS, "")
