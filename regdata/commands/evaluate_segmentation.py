"""The command `regdata evaluate-segmentation`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.options import (
    PATH,
    Command,
    classifier,
    device,
    exact,
    he_mpp,
    mapping,
    model,
    output,
    overwrite,
    own_classes,
    radius_um,
)


@click.command(
    "evaluate-segmentation", cls=Command, renamed={"--mpp": "--he-mpp", "--radius": "--radius-um"}
)
@click.argument("data", type=PATH)
@model
@classifier
@own_classes
@he_mpp("µm per pixel of the images.", default=0.25)
@mapping
@radius_um
@click.option("--robustness", is_flag=True, help="Also with stain, blur, JPEG, size, turn changed.")
@exact
@device
@output("Also write all scores, per image too, as JSON.", required=False)
@overwrite
def evaluate_segmentation(
    data: Path,
    mapping: tuple[str, ...],
    he_mpp: float,
    output: Path | None,
    overwrite: bool,
    **options: Any,
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
    from regdata.public import check_output

    if output is not None:
        check_output(output, overwrite)
    settings = SegmentationSettings(mapping=parse_mapping(mapping), mpp=he_mpp, **options)
    with bar("evaluate") as progress:
        report = run(data, settings, progress)
    click.echo(report_text(report))
    if output is not None:
        write_json(output, report.to_dict())
        click.echo(f"{output}: scores written")
