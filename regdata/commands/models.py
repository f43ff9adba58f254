"""The commands `regdata models` and `regdata models show`."""

import json
from pathlib import Path

import click

from regdata.commands.options import PATH, as_options
from regdata.errors import RegdataError


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List all models, or say what a file of weights is."""
    if context.invoked_subcommand is not None:
        return
    from regdata.cellvit.networks import describe
    from regdata.segmenting import models_dict, models_text

    built_in = describe()
    text = json.dumps(models_dict(built_in), indent=2) if as_json else models_text(built_in)
    click.echo(as_options(text))


@models.command()
@click.argument("file", required=False, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show(file: Path | None, as_json: bool) -> None:
    """Say what FILE is: a network, a token classifier or encoder weights.

    Without FILE, or with "default", the built-in network and its model card. Exits with 1 if
    entries are missing or do not fit.
    """
    from regdata.cellvit.networks import default_weights, describe
    from regdata.segmenting import description_text

    built_in = file is None or (str(file) == "default" and not file.exists())
    description = describe(None if built_in else file)
    text = json.dumps(description.to_dict(), indent=2) if as_json else description_text(description)
    click.echo(as_options(text))
    if built_in and not as_json:
        click.echo("\n" + default_weights().with_name("default.md").read_text(encoding="utf-8"))
    if description.problem:
        raise RegdataError(description.problem)
