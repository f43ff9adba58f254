"""GeoJSON of any size mapped feature by feature: a million outlines are never all in memory.

The standard library's decoder reads one feature after the other from the text. ijson, which would
read from the file, refuses NaN, which QuPath writes for measurements that could not be taken, and
integers of more than 64 bits; of half a surrogate pair it makes another letter (3.6, `yajl2_c`).
Reading alone took it 0.24 s where `json.loads` took 0.73 s, of 2.5 s for mapping 20,000 cells.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from regdata.arrays import Points

_AT_ONCE = 500  # features whose points are mapped together
_DEEPEST = 4  # positions of a MultiPolygon lie in lists in lists in lists
_GEOMETRIES = ("geometry", "nucleusGeometry")
_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder()


def mapped_geojson(
    text: str, to_other: Callable[[Points], Points], write: Callable[[str], object]
) -> int:
    """Write GeoJSON with mapped coordinates; returns the number of positions.

    Parameters
    ----------
    text
        A FeatureCollection, one feature, one geometry, or a bare list of features or geometries.
        A position may have more than x and y; what is more is kept.
    to_other
        Maps points, (N, 2) float64, in the text's unit.
    write
        Takes the parts of the result in order; coordinates have four decimals.

    Returns
    -------
    int
        Number of positions.

    Raises
    ------
    ValueError
        The text is something else.

    Examples
    --------
    >>> text = '{"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [1, 2]}}'
    >>> parts = []
    >>> mapped_geojson(text, lambda xy: xy * 10, parts.append)
    1
    >>> print("".join(parts).strip())
    {"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [10.0, 20.0]}}
    """
    start = _skip(text, 0)
    if text[start : start + 1] == "[":
        count, end = _elements(text, start, to_other, write)
    elif text[start : start + 1] == "{":
        count, end = _members(text, start, to_other, write)
    else:
        raise ValueError(f"it begins with {text[start : start + 10]!r} and not with {{ or [")
    if _skip(text, end) != len(text):
        raise ValueError(f"something follows its end at character {end}")
    write("\n")
    return count


def _members(
    text: str, start: int, to_other: Callable[[Points], Points], write: Callable[[str], object]
) -> tuple[int, int]:
    """Write an object whose "features", if it has any, are mapped one after the other."""
    held: dict[str, Any] = {}  # members that are not written yet
    count, streamed = 0, False
    position = _skip(text, start + 1)
    write("{")
    while text[position : position + 1] != "}":
        name, position = _value(text, position)
        position = _skip(text, _after(text, position, ":"))
        if name == "features" and text[position : position + 1] == "[":
            _write_members(held, write, last=False)
            write(f"{json.dumps(name)}: ")
            added, position = _elements(text, position, to_other, write)
            held, count, streamed = {}, count + added, True
        else:
            held[str(name)], position = _value(text, position)
        position = _skip(text, position)
        if text[position : position + 1] != "}":
            position = _skip(text, _after(text, position, ","))
    if not streamed:
        if not _is_spatial(held):
            raise ValueError(f"an object with {', '.join(held) or 'nothing'} is no GeoJSON")
        count = _map([held], to_other)
    elif held.keys() - {"bbox"}:
        write(", ")
    _write_members(held, write, last=True)
    write("}")
    return count, position + 1


def _write_members(members: dict[str, Any], write: Callable[[str], object], last: bool) -> None:
    kept = {name: value for name, value in members.items() if name != "bbox"}
    write(", ".join(f"{json.dumps(name)}: {_dumped(value)}" for name, value in kept.items()))
    if kept and not last:
        write(", ")


def _elements(
    text: str, start: int, to_other: Callable[[Points], Points], write: Callable[[str], object]
) -> tuple[int, int]:
    """Write a list of features or geometries, mapped."""
    ends: list[int] = []
    values = _listed(text, start, ends)
    count, separator = 0, "\n"
    write("[")
    while block := list(islice(values, _AT_ONCE)):
        count += _map(block, to_other)
        for value in block:
            write(separator + _dumped(value))
            separator = ",\n"
    write("\n]")
    return count, ends[0]


def _listed(text: str, start: int, ends: list[int]) -> Iterator[dict[str, Any]]:
    """The elements of a list one by one; at last its end is put into `ends`."""
    position = _skip(text, start + 1)
    while text[position : position + 1] != "]":
        value, position = _value(text, position)
        if not isinstance(value, dict) or not _is_spatial(value):
            raise ValueError(f"{_dumped(value)[:60]} is no feature and no geometry")
        yield value
        position = _skip(text, position)
        if text[position : position + 1] != "]":
            position = _skip(text, _after(text, position, ","))
    ends.append(position + 1)


def _map(entries: list[dict[str, Any]], to_other: Callable[[Points], Points]) -> int:
    """Replace the coordinates of features and geometries, all in one call of `to_other`."""
    positions = [position for entry in entries for position in _positions(entry)]
    if positions:
        xy = np.array([position[:2] for position in positions], np.float64)
        for position, moved in zip(positions, np.round(to_other(xy), 4).tolist(), strict=True):
            position[:2] = moved
    return len(positions)


def _positions(entry: dict[str, Any]) -> Iterator[list[Any]]:
    """Every [x, y, ...] of a feature or geometry; its boxes are taken away."""
    entry.pop("bbox", None)
    if "coordinates" in entry:
        yield from _leaves(entry["coordinates"], _DEEPEST)
    several = entry.get("geometries") or []
    if not isinstance(several, list):
        raise ValueError(f"{_dumped(several)[:60]} are no geometries")
    for geometry in [*(entry.get(name) for name in _GEOMETRIES), *several]:
        if isinstance(geometry, dict):
            yield from _positions(geometry)
        elif geometry is not None:
            raise ValueError(f"{_dumped(geometry)[:60]} is no geometry")


def _leaves(value: Any, depth: int) -> Iterator[list[Any]]:
    if not isinstance(value, list) or depth == 0:
        raise ValueError(f"{_dumped(value)[:60]} are no coordinates")
    if value and not isinstance(value[0], list):
        if len(value) < 2 or not all(isinstance(side, int | float) for side in value):
            raise ValueError(f"{_dumped(value)[:60]} is no position")
        yield value
        return
    for inner in value:
        yield from _leaves(inner, depth - 1)


def _is_spatial(entry: dict[str, Any]) -> bool:
    return any(name in entry for name in (*_GEOMETRIES, "coordinates", "geometries"))


def _value(text: str, position: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, position)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def _after(text: str, position: int, mark: str) -> int:
    position = _skip(text, position)
    if text[position : position + 1] != mark:
        raise ValueError(f"{mark!r} is missing at character {position}")
    return position + 1


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
