"""The recipe of a segmentation training: everything a run depends on, read from a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regdata.annotated import SourceConfig
from regdata.cellvit.networks import CellViTConfig, trainable_config
from regdata.errors import RegdataError
from regdata.paths import StrPath
from regdata.train.segmentation.augment import AugmentConfig
from regdata.train.segmentation.losses import LossConfig


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkChoice(_Frozen):
    """Which network is trained.

    Attributes
    ----------
    variant
        "default", or the name of a published network ("CellViT-256", "CellViT-SAM-H", ...).
    classes
        Classes of nuclei, background first; the variant's own by default.
    tissues
        Number of tissue classes; 0 = no such head.
    encoder
        File of pretrained weights of the encoder alone; see `regdata.cellvit.load_encoder`.
    start
        File of a whole network to go on from.
    settings
        Other fields of the network's config (`encoder`, `decoder`, `mean`, ...).
    """

    variant: str = "default"
    classes: tuple[str, ...] | None = None
    tissues: int = 0
    regression: bool = False
    encoder: Path | None = None
    start: Path | None = None
    settings: dict[str, object] = {}

    def config(self) -> CellViTConfig:
        """The network's config.

        Raises
        ------
        RegdataError
            There is no such variant, or a setting does not fit.
        """
        chosen = {"tissues": self.tissues, "regression": self.regression, **self.settings}
        if self.classes is not None:
            chosen["classes"] = self.classes
        base = trainable_config(self.variant).model_dump()
        try:
            return CellViTConfig.model_validate(_merged(base, chosen))
        except ValidationError as error:
            raise RegdataError(_first(error, "network.settings")) from None


class Schedule(_Frozen):
    """The course of the learning rate.

    Attributes
    ----------
    kind
        `cosine`: constant, then a cosine to zero over the last `decay` of the steps.
        `exponential`: times `gamma` every `every` steps. `constant`.
    warm_up
        Steps of linear warm-up, for every kind.
    freeze
        Steps during which a pretrained encoder is not changed.
    """

    kind: Literal["cosine", "exponential", "constant"] = "cosine"
    steps: Annotated[int, Field(gt=0)] = 2300
    warm_up: int = 150
    decay: Annotated[float, Field(gt=0, le=1)] = 0.4
    gamma: float = 0.95
    every: Annotated[int, Field(gt=0)] = 160
    freeze: int = 0


class Optimiser(_Frozen):
    """AdamW.

    Attributes
    ----------
    clip
        Largest norm of the gradient.
    ema
        Share of the averaged weights kept per step; 0 = no average.
    """

    lr: Annotated[float, Field(gt=0)] = 1e-3
    betas: tuple[float, float] = (0.85, 0.95)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998


class Recipe(_Frozen):
    """A training run.

    Attributes
    ----------
    batch, crop
        Crops per step (of each process, when there are several) and their side in pixels.
    precision
        `auto` is bf16 or fp16 where the hardware has it.
    save_every, check_every
        Steps between checkpoints, and between scores on the held-out images.
    """

    name: str = "default"
    seed: int = 7
    batch: Annotated[int, Field(gt=0)] = 8
    crop: Annotated[int, Field(gt=0)] = 256
    precision: Literal["auto", "float32"] = "auto"
    save_every: Annotated[int, Field(gt=0)] = 200
    check_every: Annotated[int, Field(gt=0)] = 500
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """CellViT's gamma_s of the sampler: 0 draws every image of a source alike."""
    network: NetworkChoice = NetworkChoice()
    schedule: Schedule = Schedule()
    optimiser: Optimiser = Optimiser()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]

    def identity(self) -> str:
        """All that determines the run, as JSON; files by name only, since folders move."""
        sources = tuple(s.model_copy(update={"path": Path(s.path.name)}) for s in self.sources)
        files = {
            name: file and Path(file.name)
            for name, file in (("encoder", self.network.encoder), ("start", self.network.start))
        }
        network = self.network.model_copy(update=files)
        return self.model_copy(update={"sources": sources, "network": network}).model_dump_json()


def read_recipe(path: StrPath, data: StrPath | None = None) -> Recipe:
    """The recipe of a TOML file.

    Parameters
    ----------
    path
        A TOML file; relative paths of weights in it start from its folder.
    data
        Where relative paths of sources start; from the recipe's folder by default.

    Raises
    ------
    RegdataError
        The file is missing, is no TOML, or has an unknown or invalid entry.
    """
    path = Path(path)
    data = None if data is None else Path(data)
    if not path.is_file():
        raise RegdataError(f"{path}: no such recipe; expected a .toml file")
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegdataError(f"{path} is no TOML file: {error}") from None
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise RegdataError(f"{path}: {_first(error)}") from None
    folder = path.parent
    base = folder if data is None else data
    sources = tuple(s.model_copy(update={"path": base / s.path}) for s in recipe.sources)
    files = {name: getattr(recipe.network, name) for name in ("encoder", "start")}
    resolved = {name: folder / file for name, file in files.items() if file is not None}
    network = recipe.network.model_copy(update=resolved)
    return recipe.model_copy(update={"sources": sources, "network": network})


def _merged(base: dict[str, object], chosen: dict[str, object]) -> dict[str, object]:
    """`base` with the values of `chosen`, tables inside tables too."""
    merged = dict(base)
    for name, value in chosen.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _first(error: ValidationError, place: str = "") -> str:
    first = error.errors()[0]
    where = ".".join([*([place] if place else []), *map(str, first["loc"])])
    return f"{where}: {first['msg']}"
