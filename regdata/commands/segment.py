"""The command `regdata segment`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from regdata.commands.nuclei_options import nuclei_options, resource_options
from regdata.errors import RegdataError

if TYPE_CHECKING:
    from regdata.segmenting import SegmentOptions, SegmentSummary

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("slides", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .h5, or a folder for several.")
@click.option("--model", type=_PATH, help="Network weights; built-in by default.")
@click.option("--classifier", type=_PATH, help="Token classifier that names the cells.")
@click.option("--own-classes", is_flag=True, help="Let the network's type branch name them.")
@click.option("--geojson", is_flag=True, help="Also write <name>.cells.geojson.gz for QuPath.")
@click.option(
    "--cellvit-files", is_flag=True, help="Also write cells.json, cell_detection.json and cells.pt."
)
@click.option("--mpp", type=float, help="µm per pixel, if the file does not say.")
@nuclei_options
@click.option(
    "--normalise",
    type=click.Choice(["tile", "fixed"]),
    help="HV gradients: by the tile's extremes, or the same everywhere; as usual for the model.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--exact", is_flag=True, help="Calculate in float32 throughout.")
@resource_options
@click.option("--resume", is_flag=True, help="Go on with the unfinished, keep the finished.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def segment(
    slides: tuple[Path, ...],
    output: Path,
    model: Path | None,
    device: str,
    exact: bool,
    **choices: object,
) -> None:
    """Find the nuclei of H&E slides or pictures, each with a class, contour and token.

    SLIDES are slides, pictures, or folders of them; every one becomes a .h5 file.
    """
    from regdata.segmenting import find_slides, outputs_of

    options = _options(choices)
    found = find_slides(slides)
    one_file = len(slides) == 1 and found == list(slides)
    outputs = outputs_of(found, output, one_file)
    from regdata.cellvit.networks import load_model, terms
    from regdata.segmenting import segment_slides

    network = load_model(model, device, exact)
    if note := terms(network.config):
        click.echo(note, err=True)
    failures = 0
    try:
        results = segment_slides(found, outputs, network, options)
        for slide, result in zip(found, results, strict=True):
            if isinstance(result, RegdataError):
                if len(found) == 1:
                    raise result
                failures += 1
                told = result.message
                click.echo(f"Error: {told if str(slide) in told else f'{slide}: {told}'}", err=True)
            else:
                click.echo(_line(result))
    except KeyboardInterrupt:
        raise RegdataError("stopped; the same command with --resume goes on from here") from None
    if failures:
        raise RegdataError(f"{failures} of {len(found)} slides failed")


def _options(choices: dict[str, object]) -> "SegmentOptions":
    """The options of the command as one object."""
    from regdata.cellvit.tiles import Resources, SegmentSettings, Tiling
    from regdata.segmenting import SegmentOptions
    from regdata.slides import parse_box

    region = choices.pop("region")
    settings = SegmentSettings(
        Tiling(region=parse_box(str(region)) if region else None),
        skip_bad=bool(choices.pop("skip_bad_tiles")),
        normalise=choices.pop("normalise"),  # type: ignore[arg-type]
    )
    resources = Resources(choices.pop("batch_size"), choices.pop("workers"))  # type: ignore[arg-type]
    return SegmentOptions(settings=settings, resources=resources, **choices)  # type: ignore[arg-type]


def _line(summary: "SegmentSummary") -> str:
    """One line of what became of a slide."""
    if summary.kept:
        return f"{summary.output}: {summary.cells} cells (kept)"
    rate = summary.tiles / max(summary.seconds, 1e-9)
    line = f"{summary.output}: {summary.cells} cells, {summary.tiles} tiles ({rate:.2f}/s)"
    if summary.skipped:
        return f"{line}, {summary.skipped} bad tiles left out"
    return f"{line}, {summary.flagged} of bad quality" if summary.flagged else line
