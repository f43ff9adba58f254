"""Agreement of the automatic labels of a file with those of experts on the same cells."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regdata.annotated import load_geojson
from regdata.arrays import Ints
from regdata.cells import MATCH_RADIUS_UM, CellTable, SlideRecord, label_index, read_measured
from regdata.errors import RegdataError
from regdata.eval.conventions import fleiss_kappa
from regdata.eval.metrics import (
    Ranked,
    cohen_kappa,
    confusion_matrix,
    map_classes,
    match_points,
    rank_readers,
    rates_of,
)
from regdata.names import NEGATIVE, UNKNOWN
from regdata.paths import StrPath, paths_of


@dataclass(frozen=True)
class ClassAgreement:
    """Automatic labels of one class against an expert's, on the cells that both labelled."""

    annotated: int
    labelled: int
    both: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One expert.

    Attributes
    ----------
    nuclei
        Number of nuclei to which the expert gave a class.
    matched
        Cells of the file that are one of these.
    unknown
        Of the matched, those whose automatic label is unknown; left out of all scores.
    kappa
        Cohen's, with the automatic labels.
    counts
        Cells of each class, K x K: rows the expert's class, columns the automatic one.
    """

    name: str
    nuclei: int
    matched: int
    unknown: int
    kappa: float | None
    counts: list[list[int]]
    classes: dict[str, ClassAgreement]


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """Experts and automatic labels on the same cells.

    Attributes
    ----------
    classes
        All; `positive` are those that count as such.
    unknown
        Cells of the file without an automatic label.
    fleiss
        Kappa of all experts and the automatic labels, on the `common` cells that all labelled;
        `fleiss_experts` without the automatic labels, on the same cells.
    ranking
        None of a single expert.
    labels
        (R, N) int64, class of each cell, -1 where there is none; the automatic labels first.
    """

    dataset: Path
    classes: tuple[str, ...]
    positive: tuple[str, ...]
    cells: int
    unknown: int
    readers: tuple[Reader, ...]
    common: int
    fleiss: float | None
    fleiss_experts: float | None
    ranking: Ranked | None
    warnings: tuple[str, ...]
    labels: Ints
    table: CellTable
    he: SlideRecord

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        names = ("classes", "positive", "cells", "unknown", "common", "fleiss", "fleiss_experts")
        return {
            "dataset": str(self.dataset),
            **{name: getattr(self, name) for name in names},
            "readers": [asdict(reader) for reader in self.readers],
            "ranking": None if self.ranking is None else asdict(self.ranking),
            "warnings": list(self.warnings),
        }


def agree(
    dataset: StrPath,
    experts: Sequence[StrPath],
    mapping: Mapping[str, str] | None = None,
    radius_um: float = MATCH_RADIUS_UM,
) -> Agreed:
    """Agreement of the labels of a built file with experts' GeoJSON of the same slide.

    Nuclei of an expert and cells of the file are paired one-to-one; those without a partner are
    left out.

    Parameters
    ----------
    experts
        Points or outlines with a classification, in level-0 pixels of the H&E slide.
    mapping
        Class of the file to class of the experts, see `map_classes`.

    Raises
    ------
    RegdataError
        The file has no labels, a GeoJSON no classes, their classes do not map, or no nucleus
        lies on a cell.
    """
    dataset = Path(dataset)
    files = paths_of(experts)
    if not files:
        raise RegdataError("expected the GeoJSON of at least one expert, got none")
    data, _ = read_measured(dataset)
    if not data.classes or "label" not in data.obs:
        raise RegdataError(f"{dataset} has no labels; expected a file of `regdata build`")
    he = data.record.he
    if he.mpp is None:
        raise RegdataError(
            f"{dataset} does not say the pixel size of its H&E slide; build it again"
        )
    read = [load_geojson(path, path, he.mpp) for path in files]
    given = tuple(dict.fromkeys(name for one in read for name in one.classes))
    classes = map_classes(data.classes, given, mapping)
    auto = label_index(data.obs["label"], data.classes)
    rows = [np.where(auto < 0, -1, classes.classifier[auto])]
    facts = []
    radius = radius_um / he.mpp
    for path, name, one in zip(files, _reader_names(files), read, strict=True):
        (image,) = one.images
        place = np.array([given.index(name) for name in one.classes], np.int64)
        named = image.labels >= 0
        theirs = classes.annotated[place[image.labels[named]]]
        pairs = match_points(image.points_xy[named], data.cells.xy, radius)
        if len(pairs) == 0:
            raise RegdataError(
                f"none of the {int(named.sum())} nuclei of {path} lies within {radius_um:g} µm of "
                f"a cell of {dataset}; expected level-0 pixels of {he.path or 'its H&E slide'}"
            )
        row = np.full(len(auto), -1)
        row[pairs[:, 1]] = theirs[pairs[:, 0]]
        rows.append(row)
        facts.append((name, int(named.sum())))
    labels = np.stack(rows).astype(np.int64)
    negative = {int(classes.classifier[k]) for k, n in enumerate(data.classes) if n == NEGATIVE}
    return _agreed(dataset, classes.names, negative, labels, facts, data.cells, he)


def _reader_names(paths: Sequence[Path]) -> list[str]:
    """A name per expert: that of the file, with its folder where two are called the same.

    Examples
    --------
    >>> _reader_names([Path("x/ann.geojson"), Path("bob.json.gz")])
    ['ann', 'bob']
    >>> _reader_names([Path("x/a.geojson"), Path("y/a.geojson")])
    ['x/a', 'y/a']
    """
    bare = [path.with_name(path.name.split(".")[0]) for path in paths]
    short = [path.name for path in bare]
    return short if len(set(short)) == len(short) else [str(path) for path in bare]


def _agreed(
    dataset: Path,
    names: tuple[str, ...],
    negative: set[int],
    labels: Ints,
    facts: Sequence[tuple[str, int]],
    table: CellTable,
    he: SlideRecord,
) -> Agreed:
    positive = [k for k in range(len(names)) if k not in negative]
    readers = tuple(
        _reader_of(name, nuclei, labels[0], row, names, positive)
        for (name, nuclei), row in zip(facts, labels[1:], strict=True)
    )
    common = np.flatnonzero((labels >= 0).all(axis=0))
    votes = labels[:, common]
    many = len(facts) > 1
    return Agreed(
        dataset=dataset,
        classes=names,
        positive=tuple(names[k] for k in positive),
        cells=labels.shape[1],
        unknown=int((labels[0] < 0).sum()),
        readers=readers,
        common=len(common),
        fleiss=fleiss_kappa(_tallied(votes, len(names))),
        fleiss_experts=fleiss_kappa(_tallied(votes[1:], len(names))) if many else None,
        ranking=rank_readers(votes, [name for name, _ in facts], positive) if many else None,
        warnings=tuple(_doubts(readers, labels, names, negative, len(common))),
        labels=labels,
        table=table,
        he=he,
    )


def _reader_of(
    name: str,
    nuclei: int,
    auto: Ints,
    theirs: Ints,
    names: Sequence[str],
    positive: Sequence[int],
) -> Reader:
    """An expert beside the automatic labels.

    Parameters
    ----------
    auto, theirs
        (N,) class of each cell, -1 where there is none.
    """
    matched = theirs >= 0
    both = matched & (auto >= 0)
    matrix = confusion_matrix(theirs[both], auto[both], len(names))
    return Reader(
        name=name,
        nuclei=nuclei,
        matched=int(matched.sum()),
        unknown=int((matched & ~both).sum()),
        kappa=cohen_kappa(matrix),
        counts=matrix.tolist(),
        classes={names[k]: _of_class(matrix, k) for k in positive},
    )


def _of_class(matrix: Ints, k: int) -> ClassAgreement:
    annotated, labelled, both = int(matrix[k].sum()), int(matrix[:, k].sum()), int(matrix[k, k])
    return ClassAgreement(annotated, labelled, both, **rates_of(both, labelled, annotated))


def _tallied(votes: Ints, classes: int) -> Ints:
    """(N, K) number of readers who gave each cell each class, of their votes (R, N)."""
    return np.asarray((votes[..., None] == np.arange(classes)).sum(axis=0), np.int64)


def _doubts(
    readers: Sequence[Reader], labels: Ints, names: Sequence[str], negative: set[int], common: int
) -> list[str]:
    out = []
    for reader, row in zip(readers, labels[1:], strict=True):
        used = set(np.unique(row[row >= 0]).tolist())
        if not used & negative:
            out.append(
                f"{reader.name} names no {NEGATIVE} cell: precision and kappa say nothing of cells "
                "that nobody marked"
            )
        missing = [names[k] for k in range(len(names)) if k not in negative and k not in used]
        if missing:
            out.append(f"{reader.name} has no cell of {', '.join(missing)}")
        if reader.matched < 0.5 * reader.nuclei:
            out.append(
                f"only {reader.matched} of {reader.nuclei} nuclei of {reader.name} lie on a cell; "
                "are their coordinates level-0 pixels of the H&E slide?"
            )
        if reader.matched and reader.unknown > 0.5 * reader.matched:
            out.append(
                f"{reader.unknown} of {reader.matched} cells of {reader.name} are {UNKNOWN}: the "
                "scores are those of the others, which may be the easier ones"
            )
    if len(readers) > 1 and common == 0:
        out.append("no cell was labelled by all: no Fleiss' kappa and no ranking")
    return out
