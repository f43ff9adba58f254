"""`regdata relabel`."""

from pathlib import Path
from typing import Any

import click

from regdata.commands.build import checked, label_options, read_label_options

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@label_options
@click.option("-o", "--output", type=_PATH, help="The .h5 to write; the file itself by default.")
@click.option("--overwrite", is_flag=True, help="Replace an existing OUTPUT.")
def relabel(dataset: Path, output: Path | None, overwrite: bool, **options: Any) -> None:
    """Label the cells of a file of `regdata build` again, without its images."""
    from regdata.chain import LabelOptions, markers_of, options_of
    from regdata.chain import relabel as run

    markers = markers_of(dataset)
    given = read_label_options(markers, **options)
    before = options_of(dataset).model_dump()
    for name in ("thresholds", "compartments"):  # of one marker: the others keep theirs
        given[name] = {**before[name], **given.get(name, {})}
    wanted = checked(LabelOptions, {**before, **given})
    counts = run(dataset, wanted, output, overwrite)
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{output or dataset}: {told}")
    report = dataset.parent / "qc" / f"{dataset.stem}.html"
    if output is None and report.exists():
        click.echo(f"{report} still shows the labels of the build")
