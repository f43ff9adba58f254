"""`regdata build`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from regdata.commands.options import (
    PATH,
    as_options,
    device,
    he_mpp,
    if_mpp,
    model,
    nuclei_options,
    output,
    overwrite,
    resource_options,
    together,
    warn,
)

if TYPE_CHECKING:
    from regdata.chain import BuildSummary

_LABELS = (
    click.option("--class", "classes", multiple=True, help="NAME=RULE, as lymphocyte=CD3|CD20."),
    click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        help="[MARKER=]METHOD[:VALUE]: auto, otsu, li, triangle, gmm, mad, local, fixed:VALUE.",
    ),
    click.option(
        "--compartment", "compartments", multiple=True, help="[MARKER=]nucleus or ring (membrane)."
    ),
    click.option("--overlap", type=float, help="Positive above this share; 0.15 by default."),
    click.option("--ambiguous", type=float, help="Negative up to this share; 0.05 by default."),
    click.option("--certain", type=float, help="Least probability of a label that is kept."),
    click.option("--legacy-overlap", is_flag=True, help="The published rule: >=, no unknown."),
)


label_options = together(*_LABELS)
"""The options that say how labels follow from measurements."""


def read_label_options(
    markers: Sequence[str],
    classes: Sequence[str],
    thresholds: Sequence[str],
    compartments: Sequence[str],
    **rest: Any,
) -> dict[str, Any]:
    """Options as `LabelOptions` takes them; what was not given is left out."""
    from regdata.chain import parse_classes, parse_per_marker

    given = {name: value for name, value in rest.items() if value not in (None, False)}
    if classes:
        given["classes"] = parse_classes(classes)
    if thresholds:
        given["thresholds"] = parse_per_marker(thresholds, markers, "thresholds")
    if compartments:
        given["compartments"] = parse_per_marker(compartments, markers, "compartments")
    return given


def checked(model: Any, values: dict[str, Any]) -> Any:
    """Options as their model has them, or the first thing wrong with them as a usage error."""
    from pydantic import ValidationError

    from regdata.public import first_fault

    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise click.UsageError(as_options(first_fault(error))) from None


# Of each source: what it needs, and what it does not take.
_MEASURED = ("thresholds", "certain", "dapi", "autofluorescence")
_INTENSITIES = (*_MEASURED, "field_um", "erode", "min_size_um2")
_NUCLEI = ("tissue", "region", "skip_bad_tiles")
_SLIDE = (
    *("he", "markers", "if_mpp", "channel_names", "compartments", "ring_um", "patient"),
    *_NUCLEI,
)
_SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "if_": (("he", "markers"), ("antigen",)),
    "masks": (("he", "markers"), ("antigen", *_INTENSITIES)),
    "segpath": ((), (*_INTENSITIES, *_SLIDE)),
}


def _source(given: Mapping[str, Any]) -> str:
    """Where labels come from: the one of --if, --masks and --segpath that was given.

    Raises
    ------
    UsageError
        None or several were, an option is missing, or one does not go with the source.
    """
    context = click.get_current_context()
    params = context.command.params
    names = {str(param.name): max(param.opts, key=len) for param in params}
    named = [source for source in _SOURCES if given.get(source) is not None]
    if len(named) != 1:
        sources = " and ".join(names[source] for source in named) or "none"
        raise click.UsageError(
            "expected one of --if (IF slide), --masks (masks in the frame of the H&E slide) and "
            f"--segpath (folder of images with masks), got {sources}"
        )
    needed, foreign = _SOURCES[named[0]]
    for name in needed:
        if not given[name]:
            raise click.UsageError(f"Missing option '{names[name]}'.")
    for name in foreign:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{names[name]} does not go with {names[named[0]]}")
    return named[0]


@click.command()
@click.option("--he", type=PATH, help="H&E slide.")
@click.option("--if", "if_", type=PATH, help="Immunofluorescence slide.")
@click.option("--masks", type=PATH, help="Instead of --if: masks in the frame of the H&E slide.")
@click.option("--segpath", type=PATH, help="Instead of slides: a folder of SegPath.")
@click.option("--antigen", help="Which one of the --segpath folder, if it has several.")
@click.option("--marker", "markers", multiple=True, help="Channel, name or index.")
@output("The .h5 to write.")
@label_options
@he_mpp()
@if_mpp("µm per pixel of the IF or masks, if the file does not say.")
@click.option("--dapi", help="Nuclear channel; found by its name by default.")
@click.option("--channel-names", help="New names of all IF channels or masks: DAPI,CD3,CD20.")
@click.option("--autofluorescence", help="CHANNEL[:RATIO] that is subtracted from the markers.")
@click.option("--field-um", type=float, help="Side of a camera field: take its shading out.")
@click.option("--ring-um", type=float, help="Width of the ring around a nucleus; 2 by default.")
@click.option("--erode", type=int, help="Pixels taken off the borders of the masks.")
@click.option("--min-size-um2", type=float, help="Smaller pieces of the masks are dropped.")
@nuclei_options
@model
@device
@resource_options
@click.option("--patient", help="Patient of this slide, so that training can split by it.")
@overwrite
def build(**options: Any) -> None:
    """Turn an H&E and an IF slide of one section into a file of labelled cells.

    --masks takes masks of markers in the place of the IF slide, --segpath a folder of images with
    masks; then nothing is registered, and a mask alone says what is stained.
    """
    from regdata.chain import BuildOptions, MaskOptions
    from regdata.chain import build as run

    source = _source(options)
    if source == "segpath":
        wanted = _segpath(options)
    else:
        given = read_label_options(**options)
        kind = BuildOptions if source == "if_" else MaskOptions
        wanted = checked(kind, {"markers": options["markers"], **given})
    _tell(run(wanted))


def _segpath(options: dict[str, Any]) -> Any:
    """Options of a folder of images, whose one class --class names."""
    from regdata.chain import SegPathOptions

    names = options.pop("classes")
    if len(names) > 1 or any("=" in name for name in names):
        raise click.UsageError(
            f"--class {names[0]}: with --segpath expected the name of the one positive class"
        )
    given = read_label_options(classes=(), **options)
    given |= {"positive": names[0]} if names else {}
    fields = SegPathOptions.model_fields
    return checked(SegPathOptions, {name: v for name, v in given.items() if name in fields})


def _tell(summary: "BuildSummary") -> None:
    """Warnings, then one line of what was made."""
    note, judged = "", summary.registration
    if judged is not None:
        for reason in judged.reasons:
            warn(f"registration: {reason}")
        note = (
            f"; hematoxylin-DAPI correlation {summary.correlation:.2f}, expected registration "
            f"error {judged.median_um:.2f} µm in {judged.tiles} tiles"
        )
    for warning in summary.warnings:
        warn(warning)
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
    kept = f" (kept: {', '.join(summary.kept)})" if summary.kept else ""
    click.echo(f"{summary.output}: {counts}{note}{kept}")
