"""Frozen dataclasses as plain values that AnnData stores, and back."""

import json
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
JSON: dict[str, bool] = {"json": True}
"""Metadata of a field that is stored as JSON text."""


def to_stored(value: Any) -> Any:
    """A dataclass as a dict of arrays, text and numbers; what is empty is left out."""
    if is_dataclass(value):
        items = {_name(field): _field(field, getattr(value, field.name)) for field in fields(value)}
        return {name: item for name, item in items.items() if not _empty(item)}
    if isinstance(value, dict):
        return {name: to_stored(item) for name, item in value.items()}
    return np.array(value) if isinstance(value, tuple) and value else value


def from_stored(kind: type[T], stored: Mapping[str, Any]) -> T:
    """The dataclass that `to_stored` made this of; what is missing has its default."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if _name(field) in stored:
            value = stored[_name(field)]
            text = field.metadata == JSON
            values[field.name] = json.loads(str(value)) if text else _as(hints[field.name], value)
    return kind(**values)


def _name(field: Field[Any]) -> str:
    return field.name.rstrip("_")  # `if_` is no name for a file


def _field(field: Field[Any], value: Any) -> Any:
    text = field.metadata == JSON and value
    return json.dumps(value, default=str) if text else to_stored(value)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | dict) and len(value) == 0)


def _as(kind: Any, value: Any) -> Any:
    """A stored value as the type that a field asks for."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _as(inner[0], value)
    if origin is tuple:
        return tuple(_as(inner[0], item) for item in np.atleast_1d(value).tolist())
    if origin is dict:
        return {str(name): _as(inner[1], item) for name, item in value.items()}
    if origin is np.ndarray:
        return np.asarray(value)
    if is_dataclass(kind):
        return from_stored(kind, value)  # type: ignore[arg-type]
    return value if kind is Any else kind(value)
