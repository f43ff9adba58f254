"""The chain: open, register and correct or check masks, segment, measure, label, write."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regdata.chain.from_if import open_if
from regdata.chain.from_masks import open_masked
from regdata.chain.from_segpath import open_segpath
from regdata.chain.mask_options import MaskOptions, SegPathOptions
from regdata.chain.nuclei import find_nuclei
from regdata.chain.options import BuildOptions
from regdata.chain.output import publish, write_labelled
from regdata.chain.source import Source
from regdata.files import RunDirectory, StageResult, read_json
from regdata.registration.quality import Verdict


@dataclass(frozen=True)
class BuildSummary:
    """What a build made.

    Attributes
    ----------
    counts
        Number of cells per label, negative first and unknown last.
    kept
        Names of the stages whose result was there already.
    warnings
        What a person should know before trusting the labels.
    correlation
        Of hematoxylin and warped DAPI; None where nothing was registered.
    registration
        What the tiles say of the alignment, likewise.
    """

    output: Path
    counts: dict[str, int]
    kept: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    correlation: float | None = None
    registration: Verdict | None = None


def build(options: BuildOptions | MaskOptions | SegPathOptions) -> BuildSummary:
    """Turn an H&E slide, and what says which nuclei are stained, into a file of labelled cells.

    Parameters
    ----------
    options
        `BuildOptions` for an IF slide, `MaskOptions` for masks, `SegPathOptions` for a folder of
        images with masks.

    Raises
    ------
    RegdataError
        For everything a user can mend; nothing half-written is left under the output's name.
    """
    source = open_source(options)
    run = RunDirectory(options.run_directory, source.keys)
    run.check_output(options.output, options.overwrite)
    evidence = source.examine(run)  # slides registered and channels corrected, or masks checked
    nuclei = find_nuclei(source, run)
    stages: list[StageResult[Any]] = [*evidence.stages, nuclei]
    if run.published(options.output):
        stages += [StageResult(name, None, kept=True) for name in ("measure", "label")]
        counts = read_json(run.path / "summary.json")
    else:
        measured = evidence.measure(nuclei.value, run)
        labels = evidence.label(nuclei.value, measured.value)
        labelled = write_labelled(nuclei.value, labels, measured.value, run)
        stages += [measured, labelled]
        counts = publish(labelled.value, labels, evidence, run, options.output)
    registered = evidence.registered
    return BuildSummary(
        options.output,
        counts,
        tuple(stage.name for stage in stages if stage.kept),
        tuple(evidence.doubts(counts)),
        registered.registration.correlation if registered else None,
        registered.verdict if registered else None,
    )


def open_source(options: BuildOptions | MaskOptions | SegPathOptions) -> Source:
    """The slides or images of a build; what can be refused early is refused here."""
    if isinstance(options, BuildOptions):
        return open_if(options)
    return open_masked(options) if isinstance(options, MaskOptions) else open_segpath(options)
