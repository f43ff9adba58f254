"""A transform and what it was made from, in one HDF5 file.

Layout (schema 1)
-----------------
/ : attributes format = "regdata transform", schema, unit = "um", count of steps.
/steps/0, /steps/1, ... : applied in this order, attribute kind "affine" or "displacement".
/steps/<i>/matrix : affine: (3, 3) float64, last row 0, 0, 1.
/steps/<i>/coefficients : displacement: (2, rows, cols) float32 or float64, cubic B-spline control
    points in µm, x then y; attributes of the group: origin_um (2,), spacing_um, inverted (0 or 1).
/about/<name> : a string, an integer or a float each.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.paths import StrPath
from regdata.transforms.steps import Step, step_from_dict, step_to_dict
from regdata.transforms.transform import Transform

SCHEMA = 1
_FORMAT = "regdata transform"
_CHUNK = 512  # control points a side


def save_transform(
    path: StrPath, transform: Transform, about: Mapping[str, str | float | int] | None = None
) -> None:
    """Write a transform to a file, exact to the last bit.

    Parameters
    ----------
    path
        The file, `.h5` by custom; it appears complete or not at all.
    transform
        Any; regdata keeps `he_to_if`.
    about
        What `read_about` gives back. Names may not hold "/".
    """
    path = Path(path)
    for name in about or {}:
        if not name or "/" in name or name == ".":
            raise RegdataError(f"expected names without / for what is known, got {name!r}")
    with replacing(path) as part, h5py.File(part, "w") as file:
        count = len(transform.steps)
        file.attrs.update({"format": _FORMAT, "schema": SCHEMA, "unit": "um", "count": count})
        steps = file.create_group("steps")
        for i, step in enumerate(transform.steps):
            _write_step(steps.create_group(str(i)), step)
        kept = file.create_group("about")
        for name, value in (about or {}).items():
            kept[name] = value


def load_transform(path: StrPath) -> Transform:
    """The transform in a file that `save_transform` wrote.

    Raises
    ------
    RegdataError
        When the file is missing, damaged, not of this kind, or of a newer regdata.
    """
    path = Path(path)
    with _open(path) as file:
        return Transform(tuple(_read_step(file[f"steps/{i}"]) for i in range(_count(file))))


def read_about(path: StrPath) -> dict[str, str | float | int]:
    """The notes on how a transform was made, from its file: the `about` of `save_transform`.

    Raises
    ------
    RegdataError
        As `load_transform`.
    """
    path = Path(path)
    with _open(path) as file:
        return {name: _plain(item) for name, item in file["about"].items()}


def _write_step(group: h5py.Group, step: Step) -> None:
    for name, value in step_to_dict(step).items():
        if np.ndim(value) > 1:
            _write_array(group, name, value)
        else:
            group.attrs[name] = value


def _write_array(group: h5py.Group, name: str, array: NDArray[np.floating]) -> None:
    chunks = tuple(min(side, _CHUNK) for side in array.shape)
    # a checksum, so that a damaged file is refused and not silently wrong
    group.create_dataset(
        name,
        data=array,
        chunks=chunks,
        shuffle=True,
        compression="gzip",
        compression_opts=1,
        fletcher32=True,
    )


def _read_step(group: h5py.Group) -> Step:
    return step_from_dict({**group.attrs, **{name: item[()] for name, item in group.items()}})


def _count(file: h5py.File) -> int:
    count = int(file.attrs["count"])
    if count != len(file["steps"]):
        raise ValueError(f"{count} steps announced, {len(file['steps'])} there")
    return count


def _plain(item: h5py.Dataset) -> str | float | int:
    value = item[()]
    if isinstance(value, bytes):
        return value.decode()
    return int(value) if np.issubdtype(item.dtype, np.integer) else float(value)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """The file, if it is one of ours; what fails while it is read becomes one line."""
    wanted = "expected a transform file of regdata register"
    if not path.is_file():
        raise RegdataError(f"{path}: no such file; {wanted}")
    if not h5py.is_hdf5(path):
        raise RegdataError(f"{path} is not a transform (no HDF5); {wanted}")
    with _damage(path):
        file = h5py.File(path, "r")
    with file:
        with _damage(path):
            ours = str(file.attrs.get("format", "")) == _FORMAT
            schema = int(file.attrs["schema"]) if ours else 0
        if not ours:
            raise RegdataError(f"{path} is another kind of HDF5 file; {wanted}")
        if schema > SCHEMA:
            raise RegdataError(
                f"{path} has schema {schema}, this regdata reads up to {SCHEMA}; update regdata"
            )
        with _damage(path):
            yield file


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, RegdataError) as error:
        reason = str(error).splitlines()[0].strip("'\"")
        raise RegdataError(f"{path} is damaged ({reason}); register the slides again") from error
