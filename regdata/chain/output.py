"""What a build writes: the file of labelled nuclei, and what lies beside it for people."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from regdata.cells import count_cells, iterate_cells, write_cells_geojson, write_dataset
from regdata.chain.source import Evidence, Labels
from regdata.files import RunDirectory, StageResult, bar, write_json
from regdata.labelling.measuring import Measured
from regdata.names import UNKNOWN
from regdata.registration.quality import Verdict
from regdata.report import Aligned, count_labels, load_build, look, write_pictures, write_report


def write_labelled(
    nuclei: Path, labels: Labels, measured: Measured, run: RunDirectory
) -> StageResult[Path]:
    """The file of labelled nuclei, under the name it has before it is published."""
    own = labels.columns
    columns = own | {name: a for name, a in measured.columns.items() if name not in own}
    pixels = {name: values.to_arrays() for name, values in measured.pixels.items()}
    width = labels.record.model.token_width or 0

    def make(path: Path) -> None:
        total, done = count_cells(nuclei), 0
        with bar("label") as progress, write_dataset(path, width) as out:
            for table, _ in iterate_cells(nuclei):
                rows = slice(done, done + len(table))
                here = {k: v[rows] if _per_nucleus(v) else v for k, v in columns.items()}
                out.append(replace(table, flags=labels.flags[rows]), here)
                done += len(table)
                progress(done / total)
            out.finish(labels.record.kinds, labels.record, measured.curves, pixels)

    return run.stage("label", "labelled.h5", make)


def _per_nucleus(values: object) -> bool:
    return isinstance(values, np.ndarray | pd.Categorical)


def publish(
    labelled: Path, labels: Labels, evidence: Evidence, run: RunDirectory, output: Path
) -> dict[str, int]:
    """Show a labelled file to people, then give it its name; the number of nuclei per label."""
    counts = count_labels(labelled, (*labels.record.classes, UNKNOWN))
    evidence.show(labelled, labels, counts)
    write_json(run.path / "summary.json", counts)
    run.publish(labelled, output)
    return counts


def show(
    output: Path,
    aligned: Aligned,
    labelled: Path,
    classes: Sequence[str],
    warnings: Sequence[str],
    judged: Verdict | None = None,
) -> None:
    """Write what lies beside an output for people: GeoJSON, pictures and the report."""
    stem, folder = output.stem, output.parent
    beside = folder / f"{stem}.cells.geojson.gz"
    write_cells_geojson(beside, labelled, "label", (*classes, UNKNOWN))
    views = look(aligned, labelled)
    write_pictures(folder / "qc", stem, aligned, labelled, views)
    with bar("report") as progress:
        made = load_build(labelled, output.name, aligned, views, judged, warnings)
        write_report(folder / "qc" / f"{stem}.html", made, progress)
