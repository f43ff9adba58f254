"""The command `regdata label-images`."""

from pathlib import Path

import click

from regdata.errors import RegdataError

_PATH = click.Path(path_type=Path)


@click.command("label-images")
@click.argument("data", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .h5 to write.")
@click.option("--model", type=_PATH, help="Network weights; built-in by default.")
@click.option(
    "--mpp", type=click.FloatRange(0, min_open=True), default=0.25, show_default=True, help="µm/px."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def label_images(
    data: Path, output: Path, model: Path | None, mpp: float, device: str, overwrite: bool
) -> None:
    """Make a file of labelled cells from images whose nuclei people outlined and named.

    DATA is a folder of images/ and labels/*.npz (inst_map, type_map) by the same names; its classes
    are called as in classes.json, a list of names.
    """
    if output.exists() and not overwrite:
        raise RegdataError(f"{output} exists; pass --overwrite to replace it")
    from regdata.cellvit.networks import load_model
    from regdata.files import bar
    from regdata.segmenting import label_images as run

    with bar("label") as progress:
        counts = run(data, output, load_model(model, device), mpp, progress)
    click.echo(f"{output}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
