"""The command `regdata export`."""

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)
_FORMATS = ("geojson", "coco", "cellvit", "pannuke", "parquet", "spatialdata", "clam")


@click.command()
@click.argument("file", type=_PATH)
@click.option("--format", required=True, type=click.Choice(_FORMATS), help="What to write.")
@click.option("-o", "--output", required=True, type=_PATH, help="The file or folder to write.")
@click.option("--crop", type=click.Choice(["256", "1024"]), help="Pixels of a crop.")
@click.option(
    "--crop-mpp",
    type=click.FloatRange(0, 100, min_open=True),
    default=0.25,
    show_default=True,
    help="µm per pixel of a crop.",
)
@click.option("--he", type=_PATH, help="The H&E slide, if it is no longer where it was.")
@click.option("--slide", help="Only the cells of this slide.")
@click.option("--keep-unknown", is_flag=True, help="Crops: unknown labels as a class, too.")
@click.option("--tokens", is_flag=True, help="parquet: the tokens, too.")
@click.option(
    "--test-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Crops: of the nuclei, put aside by patient.",
)
@click.option("--tissue", default="unknown", show_default=True, help="pannuke: for types.npy.")
@click.option("--overwrite", is_flag=True, help="Replace an existing export.")
def export(crop: str | None, **choices: object) -> None:
    """Write a file of cells in a format that other tools read.

    FILE is of `regdata build`, `label-images` or `segment`. Files: geojson (QuPath), parquet,
    clam (.h5), coco without --crop (.json). Folders: spatialdata (.zarr), and crops of the H&E
    slide with their nuclei: coco, cellvit, pannuke.
    """
    from regdata.exports import ExportOptions, export_cells
    from regdata.files import bar

    options = ExportOptions(crop=int(crop) if crop else None, **choices)  # type: ignore[arg-type]
    with bar("export") as progress:
        summary = export_cells(options, progress)
    if summary.warning:
        click.echo(f"Warning: {summary.warning}", err=True)
    line = f"{summary.output}: " + ", ".join(f"{n} {name}" for name, n in summary.counts.items())
    if summary.crops:
        line += "; " + ", ".join(f"{n} crops in {part}/" for part, n in summary.crops.items())
    if summary.left_out:
        line += f"; {summary.left_out} cells left out"
    click.echo(line)
