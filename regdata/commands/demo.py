"""The command `regdata demo`."""

from pathlib import Path

import click

from regdata.commands.options import PATH, device, overwrite


@click.command()
@click.argument("folder", required=False, type=PATH)
@click.option("-o", "--output", type=PATH, help="Folder to write; the same as FOLDER.")
@click.option("--size", type=click.IntRange(1024), default=4096, show_default=True, help="Pixels.")
@click.option("--seed", type=int, default=1, show_default=True)
@device
@overwrite
def demo(
    folder: Path | None, output: Path | None, size: int, seed: int, device: str, overwrite: bool
) -> None:
    """Simulate a restained section, then build, train and evaluate on it; ends with a page.

    The same command goes on where it was stopped.
    """
    where = [path for path in (folder, output) if path is not None]
    if len(where) != 1:
        raise click.UsageError("expected the folder to write, as FOLDER or as -o, one of the two")
    from regdata.studies import run_demo

    page = run_demo(where[0], size, seed, device, overwrite)
    click.echo(f"{page}: open it in a browser")
