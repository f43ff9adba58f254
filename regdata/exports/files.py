"""Outputs of an export: files and folders whole or not at all, and libraries of the extras."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from regdata.errors import RegdataError

NOTE = "export.json"
"""Lies in every exported folder; only a folder with it may be replaced."""


def refuse(path: Path, overwrite: bool, folder: bool) -> None:
    """Stop before work begins if `path` is taken.

    Parameters
    ----------
    folder
        Whether a folder is to be written.

    Raises
    ------
    RegdataError
        It exists and may not be overwritten, or is something that no export made.
    """
    if not path.exists():
        return
    if not overwrite:
        raise RegdataError(f"{path} exists; pass `overwrite=True` to replace it")
    if path.is_dir() and not (folder and _is_export(path)):
        raise RegdataError(
            f"{path} is a folder that no such export made; remove it yourself or choose "
            "another name"
        )
    if folder and not path.is_dir():
        raise RegdataError(f"{path} is a file, a folder is to be written; choose another name")


def _is_export(path: Path) -> bool:
    """Whether a folder is of an export; a Zarr store may also be a slide."""
    notes = [path / name for name in ("zarr.json", ".zattrs") if (path / name).is_file()]
    store = any("spatialdata" in note.read_text(errors="replace") for note in notes)
    return store or (path / NOTE).is_file()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new temporary folder beside `path` that takes its place when the block ends well.

    If the block fails the temporary folder is removed and what was at `path` stays.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if path.exists():
            path.replace(old)
        try:
            part.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
        _remove(old)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise RegdataError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def optional(module: str, extra: str) -> Any:
    """A library that only one format needs.

    Raises
    ------
    RegdataError
        It is not installed; the message says how to get it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise RegdataError(
            f"`format={extra!r}` needs {module.partition('.')[0]}, which is not installed: "
            f'pip install "regdata[{extra}]"'
        ) from None
