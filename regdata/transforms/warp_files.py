"""Files of one slide written in the frame of the other: pixels, points, outlines."""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.files import Progress, replacing, silent
from regdata.paths import StrPath
from regdata.slides import RGB, STRIP, Box, Layout, Pixels, Slide, stream_ome_tiff, stream_ome_zarr
from regdata.transforms.geojson_stream import mapped_geojson
from regdata.transforms.transform import Transform

_AT_ONCE = 50_000  # points mapped together
_DELIMITERS = ",\t;"


@dataclass(frozen=True)
class PixelMap:
    """A transform between two slides, for points in level-0 pixels of either.

    Attributes
    ----------
    transform
        µm on the slide mapped from to µm on the slide mapped to.
    from_mpp, to_mpp
        µm per level-0 pixel of these two slides.
    """

    transform: Transform
    from_mpp: float
    to_mpp: float

    def __call__(self, xy: Points) -> Points:
        """Map points, (N, 2) level-0 pixels, corner origin.

        Examples
        --------
        >>> PixelMap(Transform.identity(), 0.25, 0.5)(np.array([[10.0, 4.0]])).tolist()
        [[5.0, 2.0]]
        """
        return self.transform.points(xy * self.from_mpp) / self.to_mpp


def write_warped(
    path: StrPath,
    warped_slide: Slide,
    channels: Sequence[int] | None = None,
    progress: Progress = silent,
) -> tuple[int, int]:
    """Write a warped slide as a pyramid, strip by strip; returns its (w, h).

    Parameters
    ----------
    path
        The OME-TIFF, or OME-Zarr if it ends in `.zarr`; nothing stands there before it is
        complete.
    warped_slide
        The result of `warped`, written pixel for pixel.
    channels
        Indices of its channels to write, in order; all by default.

    Returns
    -------
    tuple
        (w, h) written.
    """
    path = Path(path)
    wanted = tuple(range(len(warped_slide.channels))) if channels is None else tuple(channels)
    names = tuple(warped_slide.channels[k] for k in wanted)
    rgb = names == RGB and warped_slide.dtype == np.uint8
    layout = Layout(
        warped_slide.size,
        warped_slide.dtype,
        warped_slide.known_mpp("he_mpp"),
        None if rgb else names,
    )
    together: list[tuple[int, ...]] = [wanted] if rgb else [(k,) for k in wanted]
    write = stream_ome_zarr if path.suffix.lower() == ".zarr" else stream_ome_tiff
    write(path, layout, _strips(warped_slide, together, progress))
    return warped_slide.size


def _strips(
    warped_slide: Slide, together: list[tuple[int, ...]], progress: Progress
) -> Iterator[Pixels]:
    width, height = warped_slide.size
    for number, channels in enumerate(together):
        for y in range(0, height, STRIP):
            strip = warped_slide.pixels(0, Box(0, y, width, min(STRIP, height - y)), channels)
            progress((number + min(1.0, (y + STRIP) / height)) / len(together))
            yield strip.transpose(1, 2, 0) if len(channels) > 1 else strip[0]


def warp_points(source: StrPath, target: StrPath, to_other: Callable[[Points], Points]) -> int:
    """Write a table of points of one slide as points of the other.

    Parameters
    ----------
    source
        CSV (or separated by tabs or semicolons) with a line of names, among them x and y in any
        case: level-0 pixels, corner origin. Other columns are kept.
    target
        The same table with other x and y, to 1/10,000 pixel.
    to_other
        Maps (N, 2) float64, level-0 pixels of one slide to those of the other.

    Returns
    -------
    int
        Number of points.

    Raises
    ------
    RegdataError
        There is no such file, it has no such columns, or one of them is no number somewhere.
    """
    source = Path(source)
    target = Path(target)
    count = 0
    with _table(source) as (lines, delimiter), replacing(target) as part:
        rows = csv.reader(lines, delimiter=delimiter)
        header = next(rows, [])
        x, y = _columns(source, header)
        with part.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            out.writerow(header)
            numbered = ((rows.line_num, row) for row in rows if row)
            while block := list(islice(numbered, _AT_ONCE)):
                xy = np.array([_point(source, line, row, x, y) for line, row in block])
                for (_, row), (new_x, new_y) in zip(block, to_other(xy).tolist(), strict=True):
                    row[x], row[y] = f"{new_x:.4f}", f"{new_y:.4f}"
                    out.writerow(row)
                count += len(block)
    return count


def warp_geojson(source: StrPath, target: StrPath, to_other: Callable[[Points], Points]) -> int:
    """Write the GeoJSON of one slide for the other.

    Parameters
    ----------
    source
        Level-0 pixels, plain or gzipped whatever its name.
    target
        All coordinates mapped, those of `nucleusGeometry` too, everything else kept except
        boxes (`bbox`), which would be wrong. Gzipped if it ends in `.gz`.
    to_other
        Maps (N, 2) float64, level-0 pixels of one slide to those of the other.

    Returns
    -------
    int
        Number of positions.

    Raises
    ------
    RegdataError
        There is no such file, or it holds something else.
    """
    source = Path(source)
    target = Path(target)
    text = _text(source)
    with replacing(target) as part, _written(part, target.suffix == ".gz") as file:
        try:
            return mapped_geojson(text, to_other, file.write)
        except (ValueError, RecursionError) as error:
            raise RegdataError(
                f"expected GeoJSON in {source}, but it cannot be read: {error}"
            ) from error


@contextmanager
def _table(path: Path) -> Iterator[tuple[IO[str], str]]:
    """An opened table and what separates its columns."""
    _check_file(path, "a CSV file of points")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            yield file, max(_DELIMITERS, key=first.count)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RegdataError(f"expected a CSV file of points, {path} is no text: {error}") from error


def _columns(path: Path, header: list[str]) -> tuple[int, int]:
    names = [name.strip().lower() for name in header]
    if names.count("x") != 1 or names.count("y") != 1:
        listed = ", ".join(header)
        raise RegdataError(
            f"expected one column x and one column y in {path}, got {listed[:200] or 'none'}"
        )
    return names.index("x"), names.index("y")


def _point(path: Path, line: int, row: list[str], x: int, y: int) -> tuple[float, float]:
    try:
        point = float(row[x]), float(row[y])
    except (ValueError, IndexError):
        point = math.nan, math.nan
    if not (math.isfinite(point[0]) and math.isfinite(point[1])):
        fields = ", ".join(row)
        raise RegdataError(f"expected numbers x and y in line {line} of {path}, got {fields[:80]}")
    return point


def _text(path: Path) -> str:
    _check_file(path, "a GeoJSON file")
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise RegdataError(f"expected GeoJSON in {path}, but it cannot be read: {error}") from error


def _check_file(path: Path, wanted: str) -> None:
    if not path.is_file():
        raise RegdataError(f"expected {wanted}, but {path} does not exist or is a folder")
    if not path.stat().st_size:
        raise RegdataError(f"expected {wanted}, but {path} is empty (0 bytes)")


def _written(path: Path, packed: bool) -> IO[Any]:
    if packed:
        return gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="\n")
    return path.open("w", encoding="utf-8", newline="\n")
