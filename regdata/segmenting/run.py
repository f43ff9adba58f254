"""Segmenting slides into files: what `regdata segment` does."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regdata.cells import count_cells, read_record, write_cells_geojson, write_dataset
from regdata.cellvit.networks import Classifier, Model, apply_classifier, choose_classifier
from regdata.cellvit.tiles import Journal, Resources, Segmentation, SegmentSettings
from regdata.errors import RegdataError
from regdata.files import counter, file_identity
from regdata.paths import StrPath, paths_of
from regdata.segmenting.inputs import tissue_mask
from regdata.segmenting.nuclei import nuclei_key
from regdata.segmenting.outputs import describe, kinds_of, quality_columns, write_cellvit_files
from regdata.slides import Slide, open_slide


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """How slides are segmented and what is written.

    Attributes
    ----------
    classifier
        File of a token classifier; the built-in network's own by default, and for any other
        network its type branch.
    own_classes
        Take the network's type branch in any case.
    mpp
        µm per pixel, where the files do not say or are wrong.
    tissue
        "auto", "all", or a GeoJSON file of polygons.
    geojson, cellvit_files
        Whether to write these beside the `.h5`.
    resume
        Keep finished outputs and go on with unfinished ones.
    overwrite
        Replace outputs that are there, and start unfinished ones anew.
    """

    classifier: Path | None = None
    own_classes: bool = False
    mpp: float | None = None
    tissue: str = "auto"
    settings: SegmentSettings = field(default_factory=SegmentSettings)
    resources: Resources = field(default_factory=Resources)
    geojson: bool = False
    cellvit_files: bool = False
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class SegmentSummary:
    """What became of one slide.

    Attributes
    ----------
    kept
        The file was there already.
    flagged, skipped
        Number of tiles of bad quality, and of those left out for it.
    """

    output: Path
    cells: int
    tiles: int = 0
    flagged: int = 0
    skipped: int = 0
    seconds: float = 0.0
    kept: bool = False


def segment_slides(
    slides: Sequence[StrPath], outputs: Sequence[StrPath], model: Model, options: SegmentOptions
) -> Iterator[SegmentSummary | RegdataError]:
    """Segment slides one after the other; an error of one does not keep the others.

    Parameters
    ----------
    outputs
        The `.h5` of each.

    Yields
    ------
    SegmentSummary or RegdataError
        Of each slide, in order.
    """
    classifier = choose_classifier(model, options.classifier, options.own_classes)
    for slide, output in zip(paths_of(slides), paths_of(outputs), strict=True):
        try:
            yield segment_slide(slide, output, model, classifier, options)
        except RegdataError as error:
            yield error


def segment_slide(
    path: Path,
    output: Path,
    model: Model,
    classifier: Classifier | None = None,
    options: SegmentOptions | None = None,
) -> SegmentSummary:
    """Write the cells of one slide to `output`, and what else the options ask for beside it.

    Raises
    ------
    RegdataError
        For everything a user can mend; nothing half-written is left under the output's name.
    """
    options = options or SegmentOptions()
    slide = open_slide(path).with_mpp(options.mpp)
    slide.known_mpp("he_mpp")
    key = nuclei_key(
        file_identity(path), slide.mpp, model, classifier, options.tissue, options.settings
    )
    if _is_finished(output, key, options):
        summary = SegmentSummary(output=output, cells=count_cells(output), kept=True)
    else:
        summary = _run(slide, output, model, classifier, (key, options))
    if options.geojson:
        beside = output.with_name(f"{output.stem}.cells.geojson.gz")
        write_cells_geojson(beside, output, "kind", kinds_of(output))
    if options.cellvit_files:
        write_cellvit_files(slide, output)
    return summary


def _run(
    slide: Slide,
    output: Path,
    model: Model,
    classifier: Classifier | None,
    job: tuple[str, SegmentOptions],
) -> SegmentSummary:
    key, options = job
    start = time.monotonic()
    tissue = tissue_mask(slide, options.tissue)
    width = model.config.token_width
    kinds = classifier.kinds if classifier else model.config.classes
    with _journal(output, key, width, options) as journal:
        run = Segmentation(slide, model, tissue, options.settings, options.resources, journal)
        count = 0
        with (
            write_dataset(output, width) as out,
            counter("segment", len(run.plan.tiles)) as advance,
        ):
            for cells in run.cells():
                cells = apply_classifier(cells, classifier) if classifier else cells
                out.append(cells, {"slide": slide.path.stem, **quality_columns(cells, run)})
                count += len(cells)
                advance(len(run.tiles), f"{count} cells")
            out.finish(kinds, describe(run, model, classifier, key))
    flagged = sum(run.settings.limits.is_bad(tile.quality) is not None for tile in run.tiles)
    skipped = sum(tile.skipped for tile in run.tiles)
    took = time.monotonic() - start
    return SegmentSummary(
        output=output,
        cells=count,
        tiles=len(run.tiles),
        flagged=flagged,
        skipped=skipped,
        seconds=took,
    )


def _is_finished(output: Path, key: str, options: SegmentOptions) -> bool:
    """Whether the output is there for these very inputs; an error where it must not be replaced."""
    if output.is_dir():
        raise RegdataError(f"{output} is a folder; expected the name of a .h5 to write")
    if options.overwrite or not output.exists():
        return False
    if not options.resume:
        raise RegdataError(
            f"{output} exists; pass `overwrite=True` to replace it or `resume=True` to keep "
            "what is finished"
        )
    if read_record(output).key != key:
        raise RegdataError(
            f"{output} was made from another slide or with other options; pass `overwrite=True` to "
            "replace it, or another `output=`"
        )
    return True


@contextmanager
def _journal(
    output: Path, key: str, token_width: int, options: SegmentOptions
) -> Iterator[Journal]:
    """The journal of this run; gone when the run ends well, or before it has done anything."""
    path = output.with_name(f".{output.name}.journal")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (options.resume or options.overwrite):
        raise RegdataError(
            f"{output} has an unfinished run; pass `resume=True` to go on with it or "
            "`overwrite=True` to start anew"
        )
    start = Journal.create if options.overwrite else Journal.open
    with start(path, key, token_width) as journal:
        # what a killed run left; nobody else writes this output while the journal is ours
        for part in path.parent.glob(f".{output.name}.*.part"):
            part.unlink()
        try:
            yield journal
        except BaseException:
            if not journal.tiles:
                journal.discard()
            raise
        journal.discard()
