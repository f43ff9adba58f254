"""The command `regdata segment`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regdata.commands.options import (
    PATH,
    Command,
    as_options,
    classifier,
    device,
    exact,
    he_mpp,
    model,
    nuclei_options,
    output,
    overwrite,
    own_classes,
    resource_options,
)
from regdata.errors import RegdataError

if TYPE_CHECKING:
    from regdata.segmenting import SegmentSummary


@click.command(cls=Command, renamed={"--mpp": "--he-mpp"})
@click.argument("slides", nargs=-1, required=True, type=PATH)
@output("The .h5, or a folder for several.")
@model
@classifier
@own_classes
@click.option("--geojson", is_flag=True, help="Also write <name>.cells.geojson.gz for QuPath.")
@click.option(
    "--cellvit-files", is_flag=True, help="Also write cells.json, cell_detection.json and cells.pt."
)
@he_mpp("µm per pixel, if the file does not say.")
@nuclei_options
@click.option(
    "--normalise",
    type=click.Choice(["tile", "fixed"]),
    help="HV gradients: by the tile's extremes, or the same everywhere; as usual for the model.",
)
@device
@exact
@resource_options
@click.option("--resume", is_flag=True, help="Go on with the unfinished, keep the finished.")
@overwrite
def segment(slides: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Find the nuclei of H&E slides or pictures, each with a class, contour and token.

    SLIDES are slides, pictures, or folders of them; every one becomes a .h5 file.
    """
    from regdata.public import segment_each

    done, failures = 0, 0
    try:
        for slide, result in segment_each(slides, output, licence=_note, **options):
            done += 1
            if isinstance(result, RegdataError):
                failures += 1
                reason = as_options(result.message)
                named = reason if str(slide) in reason else f"{slide}: {reason}"
                click.echo(f"Error: {named}", err=True)
            else:
                click.echo(_line(result))
    except KeyboardInterrupt:
        raise RegdataError("stopped; the same command with --resume goes on from here") from None
    if failures:
        raise RegdataError(f"{failures} of {done} slides failed")


def _note(text: str) -> None:
    click.echo(text, err=True)


def _line(summary: "SegmentSummary") -> str:
    """One line of what became of a slide."""
    if summary.kept:
        return f"{summary.output}: {summary.cells} cells (kept)"
    rate = summary.tiles / max(summary.seconds, 1e-9)
    line = f"{summary.output}: {summary.cells} cells, {summary.tiles} tiles ({rate:.2f}/s)"
    if summary.skipped:
        return f"{line}, {summary.skipped} bad tiles left out"
    return f"{line}, {summary.flagged} of bad quality" if summary.flagged else line
