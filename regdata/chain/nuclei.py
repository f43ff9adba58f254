"""The stage of a build that finds the nuclei of the H&E."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regdata.cells import CellTable, Record, count_cells, write_dataset
from regdata.cellvit.networks import Model, apply_classifier, choose_classifier, kinds_of
from regdata.cellvit.tiles import Journal, Segmentation
from regdata.chain.options import SlideOptions
from regdata.chain.source import Source
from regdata.chain.tiling import resources_of, settings_of
from regdata.errors import RegdataError
from regdata.files import Progress, RunDirectory, StageResult, bar
from regdata.segmenting import tissue_mask
from regdata.slides import Slide


def find_nuclei(source: Source, run: RunDirectory) -> StageResult[Path]:
    """The file of the nuclei.

    Raises
    ------
    RegdataError
        There is none.
    """
    model, key = source.model, run.keys["cells"]
    classifier, width = choose_classifier(model), model.config.token_width

    def make(path: Path) -> None:
        # finished tiles of a run that was broken off, if it was one with these very inputs
        finished = path.with_name(f"cells.{key[:16]}.journal")
        for other in path.parent.glob("cells.*.journal*"):  # SQLite keeps a file beside its own
            if not other.name.startswith(finished.name):
                other.unlink()
        with Journal.open(finished, key, width) as journal:
            with bar("segment") as progress, write_dataset(path, width) as out:
                for cells, columns in source.nuclei(journal, progress):
                    named = apply_classifier(cells, classifier) if classifier else cells
                    out.append(named, columns)
                out.finish(kinds_of(model), Record(model=model.describe()))
            journal.discard()  # not before the file of nuclei has its name

    nuclei = run.stage("cells", "cells.h5", make)
    if count_cells(nuclei.value) == 0:
        path, mpp = source.he
        raise RegdataError(
            f"no nucleus found in {path}; is it H&E, and is its pixel size ({mpp} µm) right? "
            "Correct it with `he_mpp=`"
        )
    return nuclei


def slide_cells(
    he: Slide, model: Model, options: SlideOptions, journal: Journal, progress: Progress
) -> Iterator[CellTable]:
    """The nuclei of a slide, where the options look for them."""
    tissue = tissue_mask(he, options.tissue)
    settings, resources = settings_of(options), resources_of(options)
    return Segmentation(he, model, tissue, settings, resources, journal).cells(progress)


def slide_nuclei(
    he: Slide, source: Source, options: SlideOptions, journal: Journal, progress: Progress
) -> Iterator[tuple[CellTable, dict[str, Any]]]:
    """The nuclei of a slide, where the options look for them."""
    for cells in slide_cells(he, source.model, options, journal, progress):
        yield cells, {}
