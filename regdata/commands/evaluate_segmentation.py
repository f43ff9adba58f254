"""The command `regdata evaluate-segmentation`."""

from pathlib import Path

import click

from regdata.cells import MATCH_RADIUS_UM

_PATH = click.Path(path_type=Path)


@click.command("evaluate-segmentation")
@click.argument("data", type=_PATH)
@click.option("--model", type=_PATH, help="Network weights; built-in by default.")
@click.option("--classifier", type=_PATH, help="Token classifier that names the nuclei.")
@click.option("--own-classes", is_flag=True, help="Let the network's type branch name them.")
@click.option(
    "--mpp", type=click.FloatRange(0, min_open=True), default=0.25, show_default=True, help="µm/px."
)
@click.option(
    "--map", "mapping", multiple=True, help="CLASS=SET_CLASS[,SET_CLASS], name or number."
)
@click.option(
    "--radius", "radius_um", type=float, default=MATCH_RADIUS_UM, show_default=True, help="µm."
)
@click.option("--robustness", is_flag=True, help="Also with stain, blur, JPEG, size, turn changed.")
@click.option("--exact", is_flag=True, help="Calculate in float32 throughout.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("-o", "--output", type=_PATH, help="Also write all scores, per image too, as JSON.")
def evaluate_segmentation(
    data: Path, mapping: tuple[str, ...], output: Path | None, **options: object
) -> None:
    """Score a segmentation network on images whose nuclei were outlined by people.

    DATA is a folder of images/ and labels/*.npz (inst_map, perhaps type_map) by the same names;
    its classes are called as in classes.json, a list of names, or 1, 2, ...
    """
    from regdata.annotated import parse_mapping
    from regdata.eval import SegmentationSettings
    from regdata.eval import evaluate_segmentation as run
    from regdata.eval.pages import report_text
    from regdata.files import bar, write_json

    settings = SegmentationSettings(mapping=parse_mapping(mapping), **options)  # type: ignore[arg-type]
    with bar("evaluate") as progress:
        report = run(data, settings, progress)
    click.echo(report_text(report))
    if output is not None:
        write_json(output, report.to_dict())
        click.echo(f"{output}: scores written")
