"""The command line: parse, call one function, print one summary."""

from pathlib import Path

import click

from regdata.commands.build import build
from regdata.commands.evaluate import agree, compare, evaluate
from regdata.commands.evaluate_segmentation import evaluate_segmentation
from regdata.commands.export import export
from regdata.commands.label_images import label_images
from regdata.commands.models import models
from regdata.commands.register import register
from regdata.commands.relabel import relabel
from regdata.commands.segment import segment
from regdata.commands.train_segmentation import train_segmentation
from regdata.commands.transforms import export_transform, import_transform
from regdata.commands.validate import validate
from regdata.commands.warp import warp, warp_geojson, warp_points
from regdata.errors import RegdataError

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regdata")
def main() -> None:
    """From a restained section (H&E and IF slide) to labelled cells, a classifier and a score."""


@main.command()
@click.argument("datasets", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The classifier to write.")
@click.option("--epochs", type=click.IntRange(1), help="At most so many.")
@click.option("--hidden", type=click.IntRange(1), help="Width of the hidden layer.")
@click.option(
    "--class-weights",
    type=click.Choice(["inverse", "none"]),
    default="inverse",
    show_default=True,
    help="Whether rare classes weigh as much as frequent ones.",
)
@click.option(
    "--weights",
    type=click.Choice(["label_probability", "none"]),
    default="none",
    show_default=True,
    help="Whether cells with unlikely labels count less.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an existing classifier.")
def train(datasets: tuple[Path, ...], output: Path, overwrite: bool, **chosen: object) -> None:
    """Train a token classifier on files of `regdata build` or `regdata label-images`."""
    if output.exists() and not overwrite:
        raise RegdataError(f"{output} exists; pass --overwrite to replace it")
    from regdata.files import bar
    from regdata.train.tokens import FitSettings, train_classifier

    settings = FitSettings.model_validate({k: v for k, v in chosen.items() if v is not None})
    with bar("train") as progress:
        report = train_classifier(
            datasets, output, settings, lambda epoch: progress(epoch.number / settings.epochs)
        )
    if report.warning:
        click.echo(f"Warning: {report.warning}", err=True)
    cells = sum(report.train_cells)
    click.echo(
        f"{output}: {', '.join(report.classes)}; {cells} cells, validation AUROC "
        f"{report.best.auroc:.3f} (split by {report.split})"
    )


@main.command()
@click.argument("folder", type=_PATH)
@click.option("--size", type=click.IntRange(1024), default=4096, show_default=True, help="Pixels.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--device", default="auto", show_default=True)
def demo(folder: Path, size: int, seed: int, device: str) -> None:
    """Simulate a restained section, then build, train and evaluate on it; ends with a page."""
    from regdata.studies import run_demo

    page = run_demo(folder, size, seed, device)
    click.echo(f"{page}: open it in a browser")


main.add_command(build)
main.add_command(relabel)
main.add_command(export)
main.add_command(validate)
main.add_command(evaluate)
main.add_command(agree)
main.add_command(compare)
main.add_command(evaluate_segmentation)
main.add_command(segment)
main.add_command(models)
main.add_command(label_images)
main.add_command(train_segmentation)
main.add_command(register)
main.add_command(warp)
main.add_command(export_transform)
main.add_command(import_transform)
main.add_command(warp_points)
main.add_command(warp_geojson)


if __name__ == "__main__":
    main()
