"""Options given one by one, read as the library's option classes have them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from regdata.errors import RegdataError

_Model = TypeVar("_Model", bound=BaseModel)


def validated(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """Options as their model has them.

    Raises
    ------
    RegdataError
        Names the first argument that is wrong.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise RegdataError(first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """The first argument that is wrong, and why, as one line."""
    first = error.errors()[0]
    name = first["loc"][0] if first["loc"] else "options"
    return f"`{name}=`: {first['msg']}, got {first['input']}"


def several(values: str | Iterable[str]) -> tuple[str, ...]:
    """One name, or several, as a tuple.

    Examples
    --------
    >>> several("CD3"), several(["CD3", "CD20"])
    (('CD3',), ('CD3', 'CD20'))
    """
    return (values,) if isinstance(values, str) else tuple(map(str, values))


def per_marker(
    values: str | Mapping[str, str] | None, markers: Iterable[str]
) -> dict[str, str] | None:
    """A value for every marker: the same for all, or each its own; None where none was given.

    Examples
    --------
    >>> per_marker("otsu", ["CD3", "CD20"])
    {'CD3': 'otsu', 'CD20': 'otsu'}
    """
    if values is None:
        return None
    return dict.fromkeys(markers, values) if isinstance(values, str) else dict(values)
