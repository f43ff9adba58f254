"""The command `regdata export`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.options import PATH, Command, output, overwrite, warn

_FORMATS = ("geojson", "coco", "cellvit", "pannuke", "parquet", "spatialdata", "clam")


@click.command(cls=Command, renamed={"--tissue": "--tissue-type"})
@click.argument("file", type=PATH)
@click.option("--format", required=True, type=click.Choice(_FORMATS), help="What to write.")
@output("The file or folder to write.")
@click.option("--crop", type=click.Choice(["256", "1024"]), help="Pixels of a crop.")
@click.option(
    "--crop-mpp",
    type=click.FloatRange(0, 100, min_open=True),
    default=0.25,
    show_default=True,
    help="µm per pixel of a crop.",
)
@click.option("--he", type=PATH, help="The H&E slide, if it is no longer where it was.")
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
@click.option("--tissue-type", default="unknown", show_default=True, help="pannuke: of types.npy.")
@overwrite
def export(file: Path, output: Path, crop: str | None, **options: Any) -> None:
    """Write a file of cells in a format that other tools read.

    FILE is of `regdata build`, `label-images` or `segment`. Files: geojson (QuPath), parquet,
    clam (.h5), coco without --crop (.json). Folders: spatialdata (.zarr), and crops of the H&E
    slide with their nuclei: coco, cellvit, pannuke.
    """
    from regdata.public import export as run

    summary = run(file, output, crop=int(crop) if crop else None, **options)
    if summary.warning:
        warn(summary.warning)
    line = f"{summary.output}: " + ", ".join(f"{n} {name}" for name, n in summary.counts.items())
    if summary.crops:
        line += "; " + ", ".join(f"{n} crops in {part}/" for part, n in summary.crops.items())
    if summary.left_out:
        line += f"; {summary.left_out} cells left out"
    click.echo(line)
