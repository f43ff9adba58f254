"""`regdata validate`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.options import (
    PATH,
    Command,
    device,
    he_mpp,
    mapping,
    model,
    output,
    overwrite,
    radius_um,
)


@click.command(
    cls=Command, renamed={"--against": "--set", "--mpp": "--he-mpp", "--radius": "--radius-um"}
)
@click.argument("datasets", nargs=-1, required=True, type=PATH)
@click.option("--set", "set_", metavar="NAME:DIR", required=True, help="A set, as nucls:DIR.")
@click.option("--train-split", default="train", show_default=True, help="Experts' training part.")
@click.option("--test-split", default="test", show_default=True, help="The part scored on.")
@click.option("--folds-only", is_flag=True, help="No parts: folds of all images take turns.")
@click.option("--robust", is_flag=True, help="Heads that travel; see regdata train --robust.")
@mapping
@he_mpp("µm per pixel of the set's images, where it does not say.")
@radius_um
@model
@device
@output("Also write everything as JSON.", required=False)
@overwrite
def validate(
    datasets: tuple[Path, ...],
    mapping: tuple[str, ...],
    output: Path | None,
    **options: Any,
) -> None:
    """How far auto-labels are from experts: the same head on both, scored on the same cells."""
    from regdata.annotated import parse_mapping
    from regdata.public import validate as run
    from regdata.studies import table

    validation = run(datasets, output=output, mapping=parse_mapping(mapping), **options)
    click.echo(table(validation))
    if output is not None:
        click.echo(f"{output}: scores written")
