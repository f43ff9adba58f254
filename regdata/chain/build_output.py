"""What a build writes: the file of labelled nuclei, and what lies beside it for people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import count_cells, iterate_cells, read_about, write_cells_geojson, write_dataset
from regdata.chain.options import BuildOptions
from regdata.files import Progress, Stages, bar, write_json
from regdata.labelling.measuring import Measured
from regdata.names import UNKNOWN
from regdata.registration.quality import Verdict
from regdata.report import Aligned, count_labels, load_build, look, write_pictures, write_report


@dataclass(frozen=True)
class LabelledNuclei:
    """N nuclei and all that is known of them.

    Attributes
    ----------
    cells
        The file they were found in.
    flags
        (N,) see `regdata.cells.table.FLAGS`.
    columns
        (N,) each, or one value for all: labels and what goes with them.
    measured
        Their intensities.
    """

    cells: Path
    flags: NDArray[np.uint8]
    columns: dict[str, Any]
    measured: Measured


def write_labelled(
    path: Path, nuclei: LabelledNuclei, about: dict[str, Any], progress: Progress
) -> None:
    """Write the dataset in portions, whole or not at all."""
    total, done = count_cells(nuclei.cells), 0
    columns = {**nuclei.columns, **nuclei.measured.columns}
    with write_dataset(path, int(about["model"]["token_width"])) as out:
        for table, _ in iterate_cells(nuclei.cells):
            rows = slice(done, done + len(table))
            here = {k: v[rows] if isinstance(v, np.ndarray) else v for k, v in columns.items()}
            out.append(replace(table, flags=nuclei.flags[rows]), here)
            done += len(table)
            progress(done / total)
        out.finish(tuple(about["kinds"]), about, nuclei.measured.curves)


def finish(
    options: BuildOptions,
    aligned: Aligned,
    labelled: Path,
    stages: Stages,
    judged: Verdict,
    warnings: Sequence[str],
) -> dict[str, int]:
    """Write what lies beside the labelled file, then give the file its name.

    Parameters
    ----------
    judged
        The verdict over the registration's tiles.
    warnings
        What a person should know before trusting the labels, a sentence each.
    """
    show(options.output, aligned, labelled, warnings, judged)
    counts = count_labels(labelled, (*classes_of(labelled), UNKNOWN))
    write_json(stages.run.path / "summary.json", counts)
    stages.publish(labelled, options.output)
    return counts


def show(
    output: Path,
    aligned: Aligned,
    labelled: Path,
    warnings: Sequence[str],
    judged: Verdict | None = None,
) -> None:
    """Write what lies beside an output for people: GeoJSON, pictures and the report."""
    stem, folder = output.stem, output.parent
    classes = (*classes_of(labelled), UNKNOWN)
    write_cells_geojson(folder / f"{stem}.cells.geojson.gz", labelled, "label", classes)
    seen = look(aligned, labelled)
    write_pictures(folder / "qc", stem, aligned, labelled, seen)
    with bar("report") as progress:
        made = load_build(labelled, output.name, aligned, seen, judged, warnings)
        write_report(folder / "qc" / f"{stem}.html", made, progress)


def classes_of(labelled: Path) -> tuple[str, ...]:
    """Names of the labels, negative first."""
    return tuple(str(name) for name in read_about(labelled)["classes"])
