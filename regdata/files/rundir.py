"""The run directory: each stage's result beside a hash of what it was made from."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from regdata.errors import RegdataError
from regdata.files.atomic import replacing

T = TypeVar("T")
U = TypeVar("U")
_SAMPLE = 1 << 20


def file_identity(path: Path) -> dict[str, Any]:
    """What tells one file from another without reading all of it.

    Size and time of change, and a hash of the first and last MiB; of a folder (OME-Zarr) its
    metadata.
    """
    if path.is_dir():
        parts = sorted(p for p in path.glob("*") if p.is_file())
        return {"folder": [file_identity(part) for part in parts]}
    status = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, status.st_size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return {"size": status.st_size, "changed": status.st_mtime_ns, "sha256": digest.hexdigest()}


def stage_key(**inputs: Any) -> str:
    """A hash of everything a stage's result depends on; values as in JSON."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StageResult(Generic[T]):
    """What a stage gave, and whether it was there already."""

    name: str
    value: T
    kept: bool

    def then(self, read: Callable[[T], U]) -> "StageResult[U]":
        """The same stage with what `read` makes of its value."""
        return StageResult(self.name, read(self.value), self.kept)


@dataclass(frozen=True)
class RunDirectory:
    """Results of stages, kept so that a rerun redoes only what its inputs changed.

    Attributes
    ----------
    path
        The folder.
    keys
        Per stage a hash of all that its result depends on, see `stage_key`; that of the last,
        `label`, is the output's too.
    """

    path: Path
    keys: Mapping[str, str]

    def stage(self, name: str, file: str, make: Callable[[Path], None]) -> StageResult[Path]:
        """The result file of a stage, made now unless it is there for the same key.

        Parameters
        ----------
        file
            Name of the result.
        make
            Writes the result to the path it is given; whole, or an exception.
        """
        key, result, note = self.keys[name], self.path / file, self.path / f"{file}.key"
        if result.exists() and note.exists() and note.read_text().strip() == key:
            return StageResult(name, result, kept=True)
        note.unlink(missing_ok=True)
        make(result)
        with replacing(note) as part:
            part.write_text(key)
        return StageResult(name, result, kept=False)

    def published(self, output: Path) -> bool:
        """Whether `output` is there and was made from these very inputs and options."""
        note = self.path / "output.key"
        made = note.read_text().strip() if note.exists() else None
        return output.exists() and made == self.keys["label"]

    def check_output(self, output: Path, overwrite: bool) -> None:
        """Refuse to replace a file that these very inputs and options did not make."""
        if output.is_dir():
            raise RegdataError(
                f"{output} is a folder; `output=` takes the name of the .h5 to write"
            )
        if output.exists() and not (self.published(output) or overwrite):
            raise RegdataError(
                f"{output} exists and was made from other inputs or options; "
                "pass `overwrite=True` to replace it, or another `output=`"
            )

    def publish(self, result: Path, output: Path) -> None:
        """Give the last result its final name and place."""
        note = self.path / "output.key"
        note.unlink(missing_ok=True)
        result.replace(output)
        note.write_text(self.keys["label"])


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small result, whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2))


def read_json(path: Path) -> dict[str, Any]:
    """Read back a small result."""
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored
