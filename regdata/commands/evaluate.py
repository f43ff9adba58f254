"""The commands `regdata evaluate`, `regdata agree` and `regdata compare`."""

from pathlib import Path
from typing import Any, Literal

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
    warn,
)

_RENAMED = {"--radius": "--radius-um"}


@click.command(cls=Command, renamed={**_RENAMED, "--mpp": "--he-mpp"})
@click.argument("classifier", type=PATH)
@click.option("--set", "set_", metavar="NAME:DIR", help="A published set, such as nucls:DIR.")
@click.option("--split", help="Part of the set, such as test.")
@click.option("--images", type=PATH, help="Folder of images (with --points) or the image.")
@click.option("--points", type=PATH, help="Folder with <image name>.csv: x,y,class.")
@click.option("--geojson", type=PATH, help="QuPath export of one image (with --images).")
@click.option("--nucls", type=PATH, help="Folder in the layout of NuCLS.")
@he_mpp("µm per pixel of --images, or of --set.", default=0.25)
@mapping
@radius_um
@click.option(
    "--resample",
    type=click.Choice(["slide", "image"]),
    default="slide",
    show_default=True,
    help="What intervals draw.",
)
@click.option("--preset", multiple=True, help="Also by conventions of ocelot, hovernet, ...")
@model
@device
@output("A folder for scores, cells and a page; or a .json.", required=False)
@overwrite
def evaluate(classifier: Path, mapping: tuple[str, ...], **options: Any) -> None:
    """Score a classifier against nuclei that people annotated."""
    from regdata.annotated import parse_mapping
    from regdata.eval.pages import preset_line, score_table
    from regdata.public import evaluate as run

    summary = run(classifier, mapping=parse_mapping(mapping), **options)
    click.echo(score_table(summary.scores))
    for warning in summary.warnings:
        warn(warning)
    for name, result in summary.presets.items():
        click.echo(f"{name}: {preset_line(result)}")
        if "warning" in result:
            warn(f"{name}: {result['warning']}")
    if summary.written:
        page = summary.written[-1]
        scores = page.suffix.lower() == ".json"
        click.echo(f"{page}: {'scores written' if scores else 'open it in a browser'}")


@click.command(cls=Command, renamed=_RENAMED)
@click.argument("dataset", type=PATH)
@click.argument("experts", nargs=-1, required=True, type=PATH)
@mapping
@radius_um
@output("A folder for numbers and a page; or a .json.", required=False)
@overwrite
def agree(
    dataset: Path,
    experts: tuple[Path, ...],
    mapping: tuple[str, ...],
    radius_um: float,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Compare labels of a built file with those of experts, GeoJSON of the H&E slide."""
    from regdata.annotated import parse_mapping
    from regdata.eval import agree as run
    from regdata.eval.pages import agreement_page, agreement_table
    from regdata.files import replacing, write_json
    from regdata.public import check_folder

    check_folder(output, overwrite, "agreement.json")
    agreement = run(dataset, experts, parse_mapping(mapping), radius_um)
    click.echo(agreement_table(agreement))
    for warning in agreement.warnings:
        warn(warning)
    if output is None:
        return
    if output.suffix.lower() == ".json":
        write_json(output, agreement.to_dict())
        click.echo(f"{output}: agreement written")
        return
    write_json(output / "agreement.json", agreement.to_dict())
    with replacing(output / "index.html") as part:
        part.write_text(agreement_page(agreement), encoding="utf-8")
    click.echo(f"{output / 'index.html'}: open it in a browser")


@click.command(cls=Command, renamed={"--by": "--resample"})
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option(
    "--resample",
    type=click.Choice(["slide", "image"]),
    help="What intervals draw; as evaluated by default.",
)
@click.option("--common", is_flag=True, help="Leave out images that only one of both has.")
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@output("Also write the differences as JSON.", required=False)
@overwrite
def compare(
    first: Path,
    second: Path,
    resample: Literal["image", "slide"] | None,
    common: bool,
    draws: int,
    seed: int,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Compare two folders of `regdata evaluate` on the same images, second minus first."""
    from regdata.eval import compare as run
    from regdata.eval import comparison_table
    from regdata.files import write_json
    from regdata.public import check_output

    if output is not None:
        check_output(output, overwrite, first, second)
    comparison = run(first, second, resample, common, draws, seed)
    click.echo(comparison_table(comparison))
    if output is not None:
        write_json(output, comparison.to_dict())
        click.echo(f"{output}: differences written")
