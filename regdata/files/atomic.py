"""Files appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regdata.errors import RegdataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    If the block fails, for whatever reason, the temporary file is removed and what was at
    `path` stays. A full disk becomes one clear line.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        # HDF5 puts a page of its own state into the message; the system's reason is one line
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise RegdataError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
