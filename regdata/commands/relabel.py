"""`regdata relabel`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.build import checked, label_options, read_label_options
from regdata.commands.options import PATH, output, overwrite


@click.command()
@click.argument("dataset", type=PATH)
@label_options
@output("The .h5 to write; the file itself by default.", required=False)
@overwrite
def relabel(dataset: Path, output: Path | None, overwrite: bool, **options: Any) -> None:
    """Label the cells of a file of `regdata build` again, without its images."""
    from regdata.chain import LabelOptions, markers_of
    from regdata.public import relabel as run

    given = read_label_options(markers_of(dataset), **options)
    checked(LabelOptions, given)
    counts = run(dataset, output, overwrite=overwrite, **given)
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{output or dataset}: {text}")
    report = dataset.parent / "qc" / f"{dataset.stem}.html"
    if output is None and report.exists():
        click.echo(f"{report} still shows the labels of the build")
