"""The commands `regdata evaluate`, `regdata agree` and `regdata compare`."""

from pathlib import Path
from typing import Any, Literal

import click

from regdata.cells import MATCH_RADIUS_UM
from regdata.errors import RegdataError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("classifier", type=_PATH)
@click.option("--set", "named", metavar="NAME:DIR", help="A published set, such as nucls:DIR.")
@click.option("--split", help="Part of the set, such as test.")
@click.option("--images", type=_PATH, help="Folder of images (with --points) or the image.")
@click.option("--points", type=_PATH, help="Folder with <image name>.csv: x,y,class.")
@click.option("--geojson", type=_PATH, help="QuPath export of one image (with --images).")
@click.option("--nucls", type=_PATH, help="Folder in the layout of NuCLS.")
@click.option("--mpp", type=float, default=0.25, show_default=True, help="Of --images, or --set.")
@click.option("--map", "mapping", multiple=True, help="CLASSIFIER_CLASS=SET_CLASS[,SET_CLASS].")
@click.option("--radius", type=float, default=MATCH_RADIUS_UM, show_default=True, help="µm.")
@click.option(
    "--resample",
    type=click.Choice(["slide", "image"]),
    default="slide",
    show_default=True,
    help="What intervals draw.",
)
@click.option("--preset", multiple=True, help="Also by conventions of ocelot, hovernet, ...")
@click.option("--model", type=_PATH, help="Network weights; built-in by default.")
@click.option("--device", default="auto", show_default=True)
@click.option(
    "-o", "--output", type=_PATH, help="A folder for scores, cells and a page; or a .json."
)
def evaluate(
    classifier: Path,
    mapping: tuple[str, ...],
    radius: float,
    resample: Literal["slide", "image"],
    preset: tuple[str, ...],
    model: Path | None,
    device: str,
    output: Path | None,
    **sources: Any,
) -> None:
    """Score a classifier against nuclei that people annotated."""
    from regdata.annotated import SetOptions, load_set, parse_mapping
    from regdata.eval import EvaluationSettings, evaluate_cells
    from regdata.eval.conventions import POINTS, by_preset, find_preset, with_names
    from regdata.eval.metrics import Conventions
    from regdata.eval.pages import preset_line, table, warnings_of, write_folder
    from regdata.files import bar, write_json

    for name in preset:
        find_preset(POINTS, name, "points")
    folder = None if output is None or output.suffix.lower() == ".json" else output
    if folder is not None and folder.exists() and not folder.is_dir():
        raise RegdataError(f"{folder} is a file; -o takes a folder, or the name of a .json")
    annotated = load_set(SetOptions(**sources))
    how = Conventions(radius_um=radius, resample=resample)
    settings = EvaluationSettings(model, device, parse_mapping(mapping), how)
    with bar("evaluate") as progress:
        found = evaluate_cells(classifier, annotated, settings, progress)
    click.echo(table(found.scores))
    for warning in warnings_of(found):
        click.echo(f"Warning: {warning}", err=True)
    names = found.classes.names
    presets = {
        name: with_names(by_preset(found.images, len(names), name), names) for name in preset
    }
    for name, result in presets.items():
        click.echo(f"{name}: {preset_line(result)}")
        if "warning" in result:
            click.echo(f"Warning: {name}: {result['warning']}", err=True)
    if folder is not None:
        paths = write_folder(folder, found, classifier, _source_of(sources), presets)
        click.echo(f"{paths[-1]}: open it in a browser")
    elif output is not None:
        write_json(output, {"classifier": str(classifier), **found.scores.to_dict()})
        click.echo(f"{output}: scores written")


def _source_of(sources: dict[str, Any]) -> str:
    """What the annotated set is called: the options that named it."""
    name = sources.get("named") or next(
        str(sources[key]) for key in ("nucls", "points", "geojson") if sources.get(key)
    )
    return f"{name}, split {sources['split']}" if sources.get("split") else str(name)


@click.command()
@click.argument("dataset", type=_PATH)
@click.argument("experts", nargs=-1, required=True, type=_PATH)
@click.option("--map", "mapping", multiple=True, help="CLASS_OF_FILE=EXPERT_CLASS[,EXPERT_CLASS].")
@click.option("--radius", type=float, default=MATCH_RADIUS_UM, show_default=True, help="µm.")
@click.option("-o", "--output", type=_PATH, help="A folder for numbers and a page; or a .json.")
def agree(
    dataset: Path,
    experts: tuple[Path, ...],
    mapping: tuple[str, ...],
    radius: float,
    output: Path | None,
) -> None:
    """Compare labels of a built file with those of experts, GeoJSON of the H&E slide."""
    from regdata.annotated import parse_mapping
    from regdata.eval import agree as run
    from regdata.eval.pages import agreement_page, agreement_table
    from regdata.files import replacing, write_json

    found = run(dataset, experts, parse_mapping(mapping), radius)
    click.echo(agreement_table(found))
    for warning in found.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if output is None:
        return
    if output.suffix.lower() == ".json":
        write_json(output, found.to_dict())
        click.echo(f"{output}: agreement written")
        return
    if output.exists() and not output.is_dir():
        raise RegdataError(f"{output} is a file; -o takes a folder, or the name of a .json")
    write_json(output / "agreement.json", found.to_dict())
    with replacing(output / "index.html") as part:
        part.write_text(agreement_page(found), encoding="utf-8")
    click.echo(f"{output / 'index.html'}: open it in a browser")


@click.command()
@click.argument("first", type=_PATH)
@click.argument("second", type=_PATH)
@click.option("--by", type=click.Choice(["image", "slide"]), help="What the bootstrap draws.")
@click.option("--common", is_flag=True, help="Leave out images that only one of both has.")
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", type=_PATH, help="Also write the differences as JSON.")
def compare(
    first: Path,
    second: Path,
    by: Literal["image", "slide"] | None,
    common: bool,
    draws: int,
    seed: int,
    output: Path | None,
) -> None:
    """Compare two folders of `regdata evaluate` on the same images, second minus first."""
    from regdata.eval import compare as run
    from regdata.eval import comparison_table
    from regdata.files import write_json

    found = run(first, second, by, common, draws, seed)
    click.echo(comparison_table(found))
    if output is not None:
        write_json(output, found.to_dict())
        click.echo(f"{output}: differences written")
