"""The command `regdata label-images`."""

from pathlib import Path

import click

from regdata.commands.options import PATH, Command, device, he_mpp, model, output, overwrite


@click.command("label-images", cls=Command, renamed={"--mpp": "--he-mpp"})
@click.argument("data", type=PATH)
@output("The .h5 to write.")
@model
@he_mpp("µm per pixel of the images.", default=0.25)
@device
@overwrite
def label_images(
    data: Path, output: Path, model: Path | None, he_mpp: float, device: str, overwrite: bool
) -> None:
    """Make a file of labelled cells from images whose nuclei people outlined and named.

    DATA is a folder of images/ and labels/*.npz (inst_map, type_map) by the same names; its classes
    are called as in classes.json, a list of names.
    """
    from regdata.public import check_output

    check_output(output, overwrite, data)
    from regdata.cellvit.networks import load_model
    from regdata.files import bar
    from regdata.segmenting import label_images as run

    with bar("label") as progress:
        counts = run(data, output, load_model(model, device), he_mpp, progress)
    click.echo(f"{output}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
