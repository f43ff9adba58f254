"""The command `regdata train`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.options import PATH, Command, output, overwrite, warn


@click.command(cls=Command, renamed={"--weights": "--cell-weights"})
@click.argument("datasets", nargs=-1, required=True, type=PATH)
@output("The classifier to write.")
@click.option(
    "--epochs", type=click.IntRange(1), default=50, show_default=True, help="At most so many."
)
@click.option(
    "--hidden",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Width of the hidden layer.",
)
@click.option(
    "--class-weights",
    type=click.Choice(["inverse", "none"]),
    default="inverse",
    show_default=True,
    help="Whether rare classes weigh as much as frequent ones.",
)
@click.option(
    "--cell-weights",
    type=click.Choice(["label_probability", "none"]),
    default="none",
    show_default=True,
    help="Whether cells with unlikely labels count less.",
)
@click.option(
    "--robust",
    is_flag=True,
    help="Learn only how classes differ within slides: for slides of other laboratories.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@overwrite
def train(datasets: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Train a token classifier on files of `regdata build` or `regdata label-images`."""
    from regdata.public import fit_classifier

    report = fit_classifier(datasets, output, **options)
    if report.warning:
        warn(report.warning)
    click.echo(
        f"{output}: {', '.join(report.classes)}; {sum(report.train_cells)} cells, validation AUROC "
        f"{report.best.auroc:.3f} (split by {report.split})"
    )
