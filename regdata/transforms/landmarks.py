"""Landmarks that people set on both slides: read, fitted with a transform, and its judge.

Conventions
-----------
Points are (x, y), origin at the top-left corner of the top-left pixel: level-0 pixels in files,
µm (pixels times mpp) everywhere else. Row i of either slide is the same place in the tissue.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Points
from regdata.errors import RegdataError
from regdata.paths import StrPath
from regdata.transforms.transform import Transform

_DELIMITERS = (",", ";", "\t")
_CLEARLY = 0.5  # a mirrored fit must leave less than this share of the plain one's residual


@dataclass(frozen=True, kw_only=True)
class TargetError:
    """How far landmarks lie from where a transform takes their partners (TRE), µm.

    rTRE is the TRE divided by the diagonal of a slide, as in the ANHIR challenge.
    """

    count: int
    median_um: float
    mean_um: float
    p90_um: float
    max_um: float
    median_rtre: float
    mean_rtre: float
    max_rtre: float


def read_landmarks(path: StrPath) -> Points:
    """Landmarks of a file, (N, 2) level-0 pixels.

    The first line names the columns: `x` and `y` in upper or lower case; others, such as the
    index of ANHIR and ImageJ, are ignored. Fields are parted by commas, semicolons or tabs.

    Raises
    ------
    RegdataError
        When the file is missing or is not such a table; says which line.
    """
    path = Path(path)
    wanted = "expected a table of landmarks with columns x and y"
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise RegdataError(f"cannot read {path}: {error.strerror}; {wanted}") from error
    except UnicodeDecodeError as error:
        raise RegdataError(f"{path} is not a text file; {wanted}") from error
    header = lines[0] if lines else ""
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip(' "').lower() for name in header.split(delimiter)]
    if names.count("x") != 1 or names.count("y") != 1:
        raise RegdataError(f"{path} begins with {header[:60]!r}; {wanted}")
    columns = (names.index("x"), names.index("y"))
    rows = []
    for number, line in enumerate(lines[1:], 2):
        fields = [field.strip(' "') for field in line.split(delimiter)]
        if any(fields):
            xy = _point(fields, columns)
            if not np.isfinite(xy).all():
                problem = f"expected numbers for x and y, got {line[:60]!r}"
                raise RegdataError(f"line {number} of {path}: {problem}")
            rows.append(xy)
    if not rows:
        raise RegdataError(f"{path} holds no landmarks; {wanted}")
    return np.array(rows, np.float64)


def _point(fields: list[str], columns: tuple[int, int]) -> tuple[float, float]:
    try:
        return float(fields[columns[0]]), float(fields[columns[1]])
    except (ValueError, IndexError):
        return np.nan, np.nan


def fit_landmarks(
    he_um: Points, if_um: Points, kind: Literal["similarity", "affine"] = "similarity"
) -> Transform:
    """The map that takes landmarks closest to their partners, by least squares.

    Parameters
    ----------
    he_um, if_um
        (N, 2) each, µm.
    kind
        "similarity" turns, scales and shifts, and mirrors where that leaves less than half the
        residual (three landmarks or more tell); "affine" shears too.

    Returns
    -------
    Transform
        `he_to_if`.

    Raises
    ------
    RegdataError
        When the landmarks are too few, or in one place or on one line.

    Examples
    --------
    >>> he = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    >>> fit_landmarks(he, 2 * he + 1).matrix.round(6).tolist()
    [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 0.0, 1.0]]
    """
    least = {"similarity": 2, "affine": 3}[kind]
    he, if_ = _paired(he_um, if_um, least)
    centre, aim = he.mean(0), if_.mean(0)
    from_, to = he - centre, if_ - aim
    singular = np.linalg.svd(from_, compute_uv=False)
    if singular[0] == 0:
        raise RegdataError("the landmarks lie in one place; set them far apart")
    if kind == "affine" and singular[1] < 1e-6 * singular[0]:
        raise RegdataError("the landmarks lie on one line; set more, far apart")
    linear = _affine(from_, to) if kind == "affine" else _similarity(from_, to)
    if abs(np.linalg.det(linear)) < 1e-12:
        raise RegdataError("the landmarks of the IF lie in one place or on one line; set more")
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, aim - linear @ centre
    return Transform.affine(matrix)


def _affine(from_: Points, to: Points) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(from_, to, rcond=None)[0].T, np.float64)


def _similarity(from_: Points, to: Points) -> NDArray[np.float64]:
    """Closed form: as complex numbers the map is z -> s z, mirrored z -> s conj(z)."""
    start, end = from_ @ (1, 1j), to @ (1, 1j)
    plain, mirrored = (np.vdot(z, end) / np.vdot(z, z) for z in (start, start.conj()))
    left = np.linalg.norm(end - plain * start)
    left_mirrored = np.linalg.norm(end - mirrored * start.conj())
    # landmarks on one line fit either way, up to rounding
    if left > 1e-9 * np.linalg.norm(end) and left_mirrored < _CLEARLY * left:
        a, b = mirrored.real, mirrored.imag
        return np.array([[a, b], [b, -a]])
    a, b = plain.real, plain.imag
    return np.array([[a, -b], [b, a]])


def target_error(
    transform: Transform, he_um: Points, if_um: Points, diagonal_um: float
) -> TargetError:
    """The errors of a transform at landmarks that it was not made from.

    Parameters
    ----------
    transform
        `he_to_if`; distances are taken on the IF.
    he_um, if_um
        (N, 2) each, µm.
    diagonal_um
        What rTRE is relative to: the diagonal of the slide mapped to.

    Raises
    ------
    RegdataError
        When the two do not pair, or the diagonal is not positive.
    """
    he, if_ = _paired(he_um, if_um, 1)
    if not 0 < diagonal_um < np.inf:
        raise RegdataError(f"expected a positive diagonal in µm, got {diagonal_um}")
    tre = np.linalg.norm(transform.points(he) - if_, axis=1)
    median, mean, most = float(np.median(tre)), float(tre.mean()), float(tre.max())
    return TargetError(
        count=len(tre),
        median_um=median,
        mean_um=mean,
        p90_um=float(np.percentile(tre, 90)),
        max_um=most,
        median_rtre=median / diagonal_um,
        mean_rtre=mean / diagonal_um,
        max_rtre=most / diagonal_um,
    )


def _paired(he_um: Points, if_um: Points, least: int) -> tuple[Points, Points]:
    he, if_ = np.asarray(he_um, np.float64), np.asarray(if_um, np.float64)
    for points in (he, if_):
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise RegdataError(f"expected (N, 2) finite landmarks, got {points.shape}")
    if len(he) != len(if_):
        raise RegdataError(
            f"expected as many landmarks on both slides, got {len(he)} on the H&E and "
            f"{len(if_)} on the IF; row i of either must be the same place"
        )
    if len(he) < least:
        raise RegdataError(f"expected {least} landmarks or more, got {len(he)}")
    return he, if_
