"""The command `regdata train-segmentation`."""

from pathlib import Path

import click

from regdata.commands.options import PATH, device, output, overwrite
from regdata.errors import RegdataError


@click.command("train-segmentation")
@click.argument("recipe", type=PATH)
@click.option("--data", type=PATH, help="Where the recipe's sources lie; its folder by default.")
@output("Folder of the run.")
@device
@overwrite
def train_segmentation(
    recipe: Path, data: Path | None, output: Path, device: str, overwrite: bool
) -> None:
    """Train a segmentation network by a RECIPE (.toml); the same command goes on after a stop.

    For several GPUs: torchrun --nproc-per-node N -m regdata train-segmentation ...
    """
    import logging

    from regdata.cellvit.networks import pick_device
    from regdata.files import bar
    from regdata.studies import scores_of
    from regdata.train.segmentation import forget, read_recipe
    from regdata.train.segmentation import train_segmentation as run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    chosen = read_recipe(recipe, data)
    if output.is_file():
        raise RegdataError(f"{output} is a file; -o takes the folder of the run")
    if overwrite:
        forget(output)
    try:
        with bar("train") as progress:
            weights = run(chosen, output, pick_device(device), scores_of, progress)
    except KeyboardInterrupt:
        raise RegdataError(
            f"stopped; the same command goes on from {output}/checkpoint.pt"
        ) from None
    click.echo(
        f"{weights}: trained; score it with `regdata evaluate-segmentation --model {weights}`"
    )
