"""Reading the token classifiers published with CellViT++ (`LinearClassifier`, Hörst et al., 2025).

Such a file holds `arch`, `config`, `model_state_dict` and, unless it was cleaned, what its training
needs to go on. Its classes are 0..K-1, without a background class. It does not say which weights
its tokens came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from regdata.errors import RegdataError

ARCH = "LinearClassifier"
_MAIN = (
    "tumor_nonMitotic",
    "tumor_mitotic",
    "nonTILnonMQ_stromal",
    "macrophage",
    "lymphocyte",
    "plasma_cell",
    "other_nucleus",
)
_SUPER = ("tumor_any", "nonTIL_stromal", "sTIL", "other_nucleus")
NUCLS = {"main": _MAIN, "super": _SUPER}
"""Classes of the two published files without a label map."""
_WEIGHTS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")


@dataclass(frozen=True)
class PublishedHead:
    """A published classifier.

    Attributes
    ----------
    classes
        Names in the order of the outputs.
    token_width, hidden
        D and the width of the hidden layer.
    model_name
        The network named in its configuration.
    state
        fc1.weight (hidden, D), fc1.bias (hidden,), fc2.weight (K, hidden), fc2.bias (K,), float32.
    """

    classes: tuple[str, ...]
    token_width: int
    hidden: int
    model_name: str
    state: dict[str, Tensor]


def flat_settings(settings: object, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, "." between the names; published files mix both."""
    if not isinstance(settings, Mapping):
        return {}
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        nested = isinstance(value, Mapping)
        flat |= flat_settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def is_checkpoint(content: Mapping[Any, Any]) -> bool:
    """Whether a loaded file is a checkpoint of CellViT or CellViT++, of a classifier or not."""
    return "model_state_dict" in content


def read_head(content: Mapping[Any, Any], path: Path) -> PublishedHead:
    """The classifier in a checkpoint.

    Parameters
    ----------
    content
        What the file holds; `config` flat ("data.num_classes") or nested, its values numbers or
        text.
    path
        Named in errors.

    Raises
    ------
    RegdataError
        It is no classifier, its layers do not fit together, or its classes have no names.
    """
    state = _layers(content, path)
    hidden, token_width = state["fc1.weight"].shape
    config = flat_settings(content.get("config"))
    _check_counts(
        config, {"model.hidden_dim": hidden, "data.num_classes": len(state["fc2.bias"])}, path
    )
    classes = _classes(config, len(state["fc2.bias"]), path)
    network = PurePosixPath(str(config.get("cellvit_path", ""))).stem
    return PublishedHead(
        classes, token_width, hidden, network or "an unnamed CellViT network", state
    )


def _layers(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """The four float32 tensors of the two layers, of shapes that fit each other."""
    state, arch = content["model_state_dict"], content.get("arch", ARCH)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise RegdataError(
            f"{path} is a damaged checkpoint: its model_state_dict holds no tensors; "
            "download it again"
        )
    segments = any(str(name).startswith(("encoder.", "decoder")) for name in state)
    if arch != ARCH or segments:
        what = "CellViT" if arch == ARCH else arch
        raise RegdataError(
            f"expected a token classifier ({ARCH}), but {path} holds a {what} network; "
            "one that segments goes to `model=`"
        )
    wrong = sorted(set(_WEIGHTS) ^ set(map(str, state)))
    if wrong:
        problem = "lacks" if wrong[0] in _WEIGHTS else "has an unknown"
        raise RegdataError(f"{path} {problem} {wrong[0]}; expected layers fc1 and fc2 of a {ARCH}")
    if not _fit(*(tuple(state[name].shape) for name in _WEIGHTS)):
        shapes = ", ".join(f"{name} {tuple(state[name].shape)}" for name in _WEIGHTS)
        raise RegdataError(
            f"{path} is a damaged classifier: its layers do not fit each other ({shapes}); "
            "download it again"
        )
    return {name: state[name].to(torch.float32) for name in _WEIGHTS}


def _fit(*shapes: tuple[int, ...]) -> bool:
    """Whether weight and bias of both layers, in this order, are none empty and fit."""
    if [len(shape) for shape in shapes] != [2, 1, 2, 1]:
        return False
    first, first_bias, second, second_bias = shapes
    fits = first[:1] == first_bias == second[1:] and second[:1] == second_bias
    return fits and min(*first, *second) > 0


def _check_counts(config: Mapping[str, Any], counts: Mapping[str, int], path: Path) -> None:
    """Refuse a configuration that was written for other weights."""
    for key, count in counts.items():
        if key in config and _whole(config[key]) != count:
            raise RegdataError(
                f"{path} is a damaged classifier: its config says {key} = {config[key]}, its "
                f"weights have {count}; download it again"
            )


def _classes(config: Mapping[str, Any], count: int, path: Path) -> tuple[str, ...]:
    prefix = "data.label_map."
    named = {k.removeprefix(prefix): str(v) for k, v in config.items() if k.startswith(prefix)}
    listed = config.get("data.label_map")
    if isinstance(listed, list | tuple):
        named = {str(i): str(name) for i, name in enumerate(listed)}
    if not named:
        return _nucls_classes(config, count, path)
    classes = tuple(named.get(str(i), "") for i in range(count))
    if len(named) != count or not all(classes) or len(set(classes)) != count:
        raise RegdataError(
            f"{path} has {count} outputs, but its label map names {named}; expected a different "
            f"name for each of 0 to {count - 1}"
        )
    return classes


def _nucls_classes(config: Mapping[str, Any], count: int, path: Path) -> tuple[str, ...]:
    """Names of the NuCLS classes, for files that name only the data set or nothing."""
    # no configuration at all says nothing, and a count alone must not name classes then
    dataset = str(config.get("data.dataset", "nucls" if config else "")).lower()
    level = str(config.get("data.classification_level", "")).lower()
    for name, classes in NUCLS.items():
        fits = dataset.startswith("nucls") and (not level or name in level)
        if fits and count == len(classes):
            return classes
    raise RegdataError(
        f"{path} does not name its {count} classes (no data.label_map in its config), and it is "
        "none of the published NuCLS heads; add data.label_map.0 and so on to its config"
    )


def _whole(value: object) -> int | None:
    """A whole number, however it is spelt; None for anything else."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
