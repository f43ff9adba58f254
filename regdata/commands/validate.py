"""`regdata validate`."""

from pathlib import Path

import click

from regdata.cells import MATCH_RADIUS_UM

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=_PATH)
@click.option("--against", required=True, help="NAME:DIR of an annotated set, as nucls:DIR.")
@click.option("--train-split", default="train", show_default=True, help="Experts' training part.")
@click.option("--test-split", default="test", show_default=True, help="The part scored on.")
@click.option("--folds-only", is_flag=True, help="No parts: folds of all images take turns.")
@click.option("--map", "mapping", multiple=True, help="CLASS=SET_CLASS[,SET_CLASS].")
@click.option("--mpp", type=float, help="Of the set's images, where it does not say.")
@click.option("--radius", type=float, default=MATCH_RADIUS_UM, show_default=True, help="µm.")
@click.option("--model", type=_PATH, help="Network weights; built-in by default.")
@click.option("--device", default="auto", show_default=True)
@click.option("-o", "--output", type=_PATH, help="Also write everything as JSON.")
def validate(
    datasets: tuple[Path, ...],
    against: str,
    train_split: str,
    test_split: str,
    folds_only: bool,
    mapping: tuple[str, ...],
    mpp: float | None,
    radius: float,
    model: Path | None,
    device: str,
    output: Path | None,
) -> None:
    """How far auto-labels are from experts: the same head on both, scored on the same cells."""
    from regdata.annotated import parse_mapping, parse_set
    from regdata.eval.metrics import Conventions
    from regdata.files import bar, write_json
    from regdata.studies import table
    from regdata.studies import validate as run

    training = None if folds_only else parse_set(against, train_split, mpp)()
    test = parse_set(against, None if folds_only else test_split, mpp)()
    conventions = Conventions(radius_um=radius, resample="slide")
    with bar("validate") as progress:
        found = run(
            datasets, training, test, parse_mapping(mapping), model, device, conventions, progress
        )
    click.echo(table(found))
    if output is not None:
        write_json(output, found.to_dict())
        click.echo(f"{output}: scores written")
