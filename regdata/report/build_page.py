"""The report of a build: one page to judge its labels by, everything inlined."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from regdata.cells import Record, read_outlines, read_record
from regdata.errors import RegdataError
from regdata.files import Progress, replacing, silent
from regdata.labelling.rules import REASONS, Rule, parse_rules
from regdata.names import NEGATIVE, quoted
from regdata.report.cells import galleries
from regdata.report.contents import Build, ClassOf, Judgement
from regdata.report.gallery import CROP_UM
from regdata.report.markers import marker_sections, reason_maps, reasons
from regdata.report.page import render
from regdata.report.qc import Aligned, Look
from regdata.report.sections import (
    alignment,
    counts,
    doubts,
    options_text,
    provenance,
    verdict,
)


def write_report(path: Path, build: Build, progress: Progress = silent) -> None:
    """Write the page of a build, whole or not at all.

    Only the crops it shows are read from the slides, one at a time.
    """
    why = reasons(build)
    text = render(
        "build.html",
        title=f"Labels of {build.name}",
        facts=counts(build),
        verdict=verdict(build),
        doubts=list(doubts(build)),
        alignment=alignment(build),
        markers=marker_sections(build),
        unknown=int(build.unknown.sum()),
        reasons=why,
        reason_maps=reason_maps(build, why),
        crop_um=CROP_UM,
        galleries=list(galleries(build, progress)),
        masks=build.verdict is None,
        provenance=provenance(build),
        options=options_text(build),
    )
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def load_build(
    labelled: Path,
    name: str,
    aligned: Aligned,
    look: Look,
    verdict: Judgement | None = None,
    warnings: Sequence[str] = (),
) -> Build:
    """The contents of a report, from a labelled file and its slides.

    Parameters
    ----------
    labelled
        The labelled file, under whatever name.
    name
        Its name on the page.
    verdict
        Of the registration; None if labels are from masks.
    warnings
        A sentence each.
    """
    record = read_record(labelled)
    with h5py.File(labelled, "r") as file:
        obs: pd.DataFrame = read_elem(file["obs"])
    cells = read_outlines(labelled)
    classes = classes_from(record, obs, tuple(aligned.markers))
    return Build(
        name=name,
        cells=cells,
        obs=obs,
        record=record,
        aligned=aligned,
        look=look,
        classes=classes,
        reasons=REASONS,
        verdict=verdict,
        warnings=tuple(warnings),
    )


def classes_from(record: Record, obs: pd.DataFrame, names: Sequence[str]) -> dict[str, ClassOf]:
    """The classes of a file, their markers and probabilities.

    Parameters
    ----------
    obs
        Columns of the N nuclei.
    names
        All markers.
    """
    rules = _rules(record, names)
    chances = {
        name: obs[f"probability_{name}"].to_numpy(np.float32)
        for name in names
        if f"probability_{name}" in obs
    }
    classes = {}
    for name in (c for c in record.classes if c != NEGATIVE):
        rule = rules.get(name)
        markers = tuple(names) if rule is None else rule.markers
        if rule is not None and all(marker in chances for marker in markers):
            chance = np.asarray(rule.probability(chances), np.float32)
        else:
            chance = np.full(len(obs), np.nan, np.float32)
        classes[name] = ClassOf(markers, " or ".join(names) if rule is None else str(rule), chance)
    return classes


def _rules(record: Record, names: Sequence[str]) -> dict[str, Rule]:
    """Rules of the classes; none where the file does not state them."""
    rules = record.rules.classes or {name: quoted(name) for name in names}
    try:
        return parse_rules([f"{quoted(name)} = {rule}" for name, rule in rules.items()], names)
    except RegdataError:
        return {}
