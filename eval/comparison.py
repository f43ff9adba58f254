"""Differences between the scores of two classifiers on the same annotated images."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.eval.metrics import Difference, Statistic, bootstrap_difference, f1_scores, mean_f1
from regdata.paths import StrPath
from regdata.report import interval, number, text_table

Key = tuple[str, str, str]
_NAMES = 3  # images named in a message


@dataclass(frozen=True)
class Counted:
    """Scores of a file with their counts per image.

    Attributes
    ----------
    matrices
        (K + 1, K + 1) int64, confusion matrix of each image, by split, slide and name.
    """

    path: Path
    classes: tuple[str, ...]
    conventions: dict[str, Any]
    matrices: dict[Key, NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Differences, second minus first, with intervals over images or slides drawn alike for both.

    Attributes
    ----------
    differences
        By name: `mean F1`, `detection`, and each class.
    left_out
        Images that only one of both has.
    """

    first: Path
    second: Path
    images: int
    slides: int
    by: str
    left_out: int
    differences: dict[str, Difference]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        return {**asdict(self), "first": str(self.first), "second": str(self.second)}


def compare(
    first: StrPath,
    second: StrPath,
    by: Literal["image", "slide"] | None = None,
    common: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Differences between two files of scores that `regdata evaluate -o FOLDER` wrote.

    Parameters
    ----------
    first, second
        `scores.json`, or the folder it is in.
    by
        What is drawn with replacement; by default as for the scores.
    common
        Leave out images that only one of both has.

    Raises
    ------
    RegdataError
        There are no counts per image, or images, annotations, classes or conventions differ.
    """
    first = Path(first)
    second = Path(second)
    a, b = _read_counted(first), _read_counted(second)
    _check(a, b)
    shared = [key for key in a.matrices if key in b.matrices]
    alone = [
        key for one, two in ((a, b), (b, a)) for key in one.matrices if key not in two.matrices
    ]
    if not shared or (alone and not common):
        some = ", ".join(key[2] for key in alone[:_NAMES])
        hint = "; pass `common=True` to compare the others" if shared else ""
        raise RegdataError(
            f"expected the same images in {a.path} and {b.path}, but {len(alone)} are in one of "
            f"them only ({some}), {len(shared)} in both{hint}"
        )
    one, two = (np.stack([side.matrices[key] for key in shared]) for side in (a, b))
    _same_annotation(a, b, shared, one, two)
    by = by or ("slide" if a.conventions.get("resample") == "slide" else "image")
    units = [slide for _, slide, _ in shared] if by == "slide" else None
    statistics: dict[str, Statistic] = {
        "mean F1": mean_f1,
        "detection": partial(_column, place=len(a.classes)),
    }
    statistics |= {name: partial(_column, place=k) for k, name in enumerate(a.classes)}
    differences = {
        name: bootstrap_difference(one, two, statistic, units, draws, seed)
        for name, statistic in statistics.items()
    }
    slides = len({slide for _, slide, _ in shared})
    return Comparison(
        first=a.path,
        second=b.path,
        images=len(shared),
        slides=slides,
        by=by,
        left_out=len(alone),
        differences=differences,
    )


def _read_counted(path: Path) -> Counted:
    """Scores of a file with their counts per image.

    Raises
    ------
    RegdataError
        There is no such file, or it holds no counts per image.
    """
    file = path / "scores.json" if path.is_dir() else path
    if not file.is_file():
        raise RegdataError(
            f"expected scores of `regdata evaluate -o FOLDER`, but {file} is not there"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        names = tuple(content["classes"])
        conventions = dict(content["conventions"])
    except (ValueError, KeyError, TypeError) as error:
        raise RegdataError(
            f"expected scores of `regdata evaluate`, but {file} holds none"
        ) from error
    if "counts" not in content:
        raise RegdataError(
            f"{file} has no counts per image, which a paired comparison needs; "
            "run `regdata evaluate ... -o FOLDER` again, with a folder and not a .json"
        )
    return Counted(file, names, conventions, _matrices(content["counts"], len(names) + 1, file))


def comparison_table(comparison: Comparison) -> str:
    """Table as text: both values, their difference, its interval and p."""
    rows = [("", "first", "second", "difference", "95 % interval", "p")]
    for name, one in comparison.differences.items():
        span = interval((one.low, one.high), "+.3f")
        values = (number(one.first), number(one.second), number(one.value, "+.3f"))
        rows.append((name, *values, span, number(one.p)))
    left = f"; {comparison.left_out} left out" if comparison.left_out else ""
    units = comparison.images if comparison.by == "image" else comparison.slides
    how = (
        f"intervals: both drawn alike, over {units} {comparison.by}s"
        if units > 1
        else "no intervals"
    )
    footer = (
        f"{comparison.images} image(s) of {comparison.slides} slide(s) that both have{left}; {how}"
    )
    return f"{text_table(rows)}\n{footer}"


def _matrices(rows: Any, side: int, file: Path) -> dict[Key, NDArray[np.int64]]:
    matrices: dict[Key, NDArray[np.int64]] = {}
    try:
        for row in rows:
            key = (str(row.get("split", "")), str(row["slide"]), str(row["image"]))
            if key in matrices:
                raise RegdataError(
                    f"{file} has two images called {key[2]}; expected different names"
                )
            matrices[key] = np.array(row["confusion"], np.int64).reshape(side, side)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegdataError(f"the counts per image in {file} are damaged; write it again") from error
    return matrices


def _check(a: Counted, b: Counted) -> None:
    if a.classes != b.classes:
        raise RegdataError(
            f"expected the same classes, got {', '.join(a.classes)} in {a.path} and "
            f"{', '.join(b.classes)} in {b.path}; evaluate both with the same `mapping=`"
        )
    for name in ("radius_um", "scope", "pooling", "matching", "absent_class"):
        ours, theirs = a.conventions.get(name), b.conventions.get(name)
        if ours != theirs:
            raise RegdataError(
                f"expected the same {name}, got {ours} in {a.path}, {theirs} in {b.path}"
            )


def _same_annotation(
    a: Counted, b: Counted, keys: Sequence[Key], one: NDArray[np.int64], two: NDArray[np.int64]
) -> None:
    differ = np.flatnonzero((one[:, :-1].sum(axis=2) != two[:, :-1].sum(axis=2)).any(axis=1))
    if len(differ):
        raise RegdataError(
            f"expected the same annotated nuclei, but {keys[differ[0]][2]} has others in {a.path} "
            f"than in {b.path} ({len(differ)} image(s) differ); evaluate both on the same set"
        )


def _column(matrices: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    return f1_scores(matrices)[:, place]
