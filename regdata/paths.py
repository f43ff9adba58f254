"""Paths given as text or as paths, one or several."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

StrPath = str | PathLike[str]
"""A path, as text or as a `Path`."""


def paths_of(paths: StrPath | Sequence[StrPath]) -> tuple[Path, ...]:
    """One path, or several, as a tuple of paths.

    Examples
    --------
    >>> [path.name for path in paths_of("a/b.h5")], len(paths_of(["a.h5", Path("b.h5")]))
    (['b.h5'], 2)
    """
    if isinstance(paths, str | PathLike):
        return (Path(paths),)
    return tuple(Path(path) for path in paths)


def path_of(path: StrPath | None) -> Path | None:
    """A path, or None where none was given."""
    return None if path is None else Path(path)
