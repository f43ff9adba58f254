"""A classifier of cells by their tokens (CellViT++, Hörst et al., 2025)."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import Tensor, nn

from regdata.cells import CellTable
from regdata.cellvit.networks.published_heads import is_checkpoint, read_head
from regdata.cellvit.networks.weights import Model, default_weights
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath

_FORMAT = "regdata classifier 1"
_EXPECTED = "expected a classifier of `regdata train` or a CellViT++ head"
_BATCH = 8192


class ClassifierInfo(BaseModel):
    """What a classifier expects and what its outputs mean; stored beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    token_width: int
    hidden: int
    dropout: float
    model_name: str
    """The network whose tokens it was trained on."""
    model_sha256: str
    """Hash of that network's weights: tokens of any other network mean something else. Empty when
    the file does not say, as the published heads of CellViT++ do not."""
    mean: tuple[float, ...]
    """(D,), subtracted from a token."""
    std: tuple[float, ...]
    """(D,), a token is divided by it."""
    training: dict[str, JsonValue] = {}
    """Settings, counts and validation scores of its training."""


class TokenClassifier(nn.Module):
    """One hidden layer: standardised tokens (B, D) -> logits (B, K)."""

    def __init__(self, token_width: int, hidden: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(token_width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, not probabilities."""
        logits: Tensor = self.fc2(self.dropout(torch.relu(self.fc1(tokens))))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained network with its description."""

    network: TokenClassifier
    info: ClassifierInfo

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of cells it classified: background, which no cell is, and classes."""
        return ("background", *self.info.classes)

    def predict(self, tokens: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Probabilities of the classes.

        Parameters
        ----------
        tokens
            (N, D) float16 or float32, as the network named in `info` gave them; N may be 0.

        Returns
        -------
        array
            (N, K) float32, rows sum to 1, in the order of `info.classes`.

        Raises
        ------
        RegdataError
            The tokens have another width.
        """
        if tokens.ndim != 2 or tokens.shape[1] != self.info.token_width:
            raise RegdataError(
                f"expected tokens of width {self.info.token_width} (those of "
                f"{self.info.model_name}), got an array of shape {tokens.shape}"
            )
        self.network.eval()
        result = np.empty((len(tokens), len(self.info.classes)), np.float32)
        mean, std = torch.tensor(self.info.mean), torch.tensor(self.info.std)
        with torch.inference_mode():
            for start in range(0, len(tokens), _BATCH):
                part = slice(start, start + _BATCH)
                batch = torch.from_numpy(tokens[part].astype(np.float32))
                result[part] = self.network((batch - mean) / std).softmax(dim=1).numpy()
        return result

    def require_model(
        self, sha256: str, name: str = "another model", token_width: int | None = None
    ) -> None:
        """Refuse tokens of a network other than the one the classifier was trained on.

        A classifier that does not know the hash of its network takes tokens of the right width.

        Parameters
        ----------
        sha256, name
            Of the network at hand.
        token_width
            Its D; not checked by default.
        """
        if token_width not in (None, self.info.token_width):
            raise RegdataError(
                f"the classifier expects tokens of width {self.info.token_width} (those of "
                f"{self.info.model_name}), those of {name} have {token_width}; use the model it "
                "was trained on"
            )
        if self.info.model_sha256 not in ("", sha256):
            raise RegdataError(
                f"the classifier was trained on tokens of {self.info.model_name} "
                f"({self.info.model_sha256[:12]}), these are of {name} ({sha256[:12]}); "
                "use the same model or train a classifier for this one"
            )


def apply_classifier(cells: CellTable, classifier: Classifier) -> CellTable:
    """The same cells with the kinds a classifier gives them.

    Parameters
    ----------
    cells
        With tokens of the network the classifier belongs to.

    Returns
    -------
    CellTable
        `kind` is the likeliest class as an index into `classifier.kinds`, from 1 on;
        `kind_probability` its softmax share, never below 1 / K.

    Raises
    ------
    RegdataError
        The tokens have another width.
    """
    shares = classifier.predict(cells.tokens)
    kind = (shares.argmax(axis=1) + 1).astype(np.uint8)
    return replace(cells, kind=kind, kind_probability=shares.max(axis=1))


def save_classifier(path: StrPath, classifier: Classifier) -> None:
    """Write a classifier to one file, complete or not at all."""
    path = Path(path)
    content = {
        "format": _FORMAT,
        "info": classifier.info.model_dump_json(),
        "state_dict": classifier.network.state_dict(),
    }
    with replacing(path) as part, part.open("wb") as file:
        torch.save(content, file)


def load_classifier(path: StrPath) -> Classifier:
    """Read a classifier that `save_classifier` wrote or a published head of CellViT++.

    No code in the file is run. A published head takes tokens as they are (mean 0, standard
    deviation 1) and does not know the hash of its network.

    Raises
    ------
    RegdataError
        There is no such file, or it holds no classifier that can be read.
    """
    path = Path(path)
    content = _read(path)
    return _published(content, path) if is_checkpoint(content) else _own(content, path)


def choose_classifier(
    model: Model, path: StrPath | None = None, own_classes: bool = False
) -> Classifier | None:
    """The classifier that names a network's nuclei; None where its type branch does.

    Parameters
    ----------
    path
        File of a classifier; by default the built-in one, if the network is the built-in one.
    own_classes
        The type branch in any case.

    Raises
    ------
    RegdataError
        The file cannot be read or is for another network, or both ways are given.
    """
    path = None if path is None else Path(path)
    if own_classes:
        if path is not None:
            raise RegdataError("pass either `classifier=` or `own_classes=True`")
        return None
    if path is None:
        return _built_in_classifier(model)
    classifier = load_classifier(path)
    classifier.require_model(model.sha256, model.config.name, model.config.token_width)
    return classifier


def kinds_of(model: Model) -> tuple[str, ...]:
    """Kinds of nuclei that a network tells apart by default, background first."""
    classifier = choose_classifier(model)
    return classifier.kinds if classifier else model.config.classes


def naming(model: Model) -> str:
    """What names them, for hashes: the classifier's description, or the type branch."""
    classifier = choose_classifier(model)
    return classifier.info.model_dump_json() if classifier else "type branch"


def _built_in_classifier(model: Model) -> Classifier | None:
    """The classifier that comes with the built-in network; None for any other network."""
    path = default_weights().with_name("default.classifier.pt")
    if not path.exists():
        return None
    classifier = load_classifier(path)
    return classifier if classifier.info.model_sha256 == model.sha256 else None


def _own(content: dict[str, Any], path: Path) -> Classifier:
    try:
        info = ClassifierInfo.model_validate_json(content["info"])
        network = TokenClassifier(info.token_width, info.hidden, len(info.classes), info.dropout)
        network.load_state_dict(content["state_dict"])
    except (KeyError, TypeError, AttributeError, RuntimeError, ValidationError) as error:
        raise RegdataError(
            f"{path} is a damaged classifier; write it again with `regdata train`"
        ) from error
    if not len(info.mean) == len(info.std) == info.token_width:
        raise RegdataError(
            f"{path} is a damaged classifier: its normalisation does not fit its width; "
            "write it again with `regdata train`"
        )
    return Classifier(network.eval(), info)


def _published(content: dict[str, Any], path: Path) -> Classifier:
    head = read_head(content, path)
    info = ClassifierInfo(
        classes=head.classes,
        token_width=head.token_width,
        hidden=head.hidden,
        dropout=0.0,
        model_name=head.model_name,
        model_sha256="",
        mean=(0.0,) * head.token_width,
        std=(1.0,) * head.token_width,
        training={"source": "CellViT++"},
    )
    network = TokenClassifier(info.token_width, info.hidden, len(info.classes), info.dropout)
    network.load_state_dict(head.state)
    return Classifier(network.eval(), info)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RegdataError(f"expected a classifier file, but {path} does not exist or is a folder")
    try:
        with path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        hint = ""
        if "Unsupported" in str(error):
            hint = "; it holds Python objects beside its weights, save it without them"
        raise RegdataError(f"{_EXPECTED}, but {path} cannot be read as one{hint}") from error
    if isinstance(content, dict) and (content.get("format") == _FORMAT or is_checkpoint(content)):
        return content
    raise RegdataError(f"{_EXPECTED} ({_FORMAT}), but {path} is not one")
