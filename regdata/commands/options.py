"""Options that commands share, and how arguments of the library are written as options.

What options mean everywhere: `--he-mpp` and `--if-mpp` are the pixel sizes of slides or pictures
that are read, in µm; `--output-mpp` and `--crop-mpp` those of what is written.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from regdata.cells import MATCH_RADIUS_UM
from regdata.errors import RegdataError

PATH = click.Path(path_type=Path)
UM = click.FloatRange(0, min_open=True)
"""A length, or a length per pixel, above 0."""

Decorator = Callable[[Any], Any]

model = click.option("--model", type=PATH, help="Network weights; built-in by default.")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there.")
classifier = click.option("--classifier", type=PATH, help="Token classifier that names the cells.")
own_classes = click.option(
    "--own-classes", is_flag=True, help="Let the network's type branch name them."
)
exact = click.option("--exact", is_flag=True, help="Calculate in float32 throughout.")
mapping = click.option(
    "--map", "mapping", multiple=True, help="CLASS=SET_CLASS[,SET_CLASS], where names differ."
)
radius_um = click.option(
    "--radius-um",
    type=UM,
    default=MATCH_RADIUS_UM,
    show_default=True,
    help="Most between a pair, µm.",
)


def together(*options: Decorator) -> Decorator:
    """Several options as one, shown in their order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


nuclei_options = together(
    click.option("--region", help="Only x,y,w,h (level-0 pixels of the H&E)."),
    click.option(
        "--tissue", default="auto", show_default=True, help="auto, all, or a GeoJSON file."
    ),
    click.option(
        "--skip-bad-tiles", is_flag=True, help="Leave out blurred, folded or marked tiles."
    ),
)
"""Where nuclei are looked for."""
resource_options = together(
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        help="Tiles at once; 1 on a CPU, 8 on a GPU by default.",
    ),
    click.option(
        "--workers", type=click.IntRange(1), default=2, show_default=True, help="Threads."
    ),
)
"""On which speed depends, and results do not."""


def output(help: str, required: bool = True) -> Decorator:
    """The option that says where a result goes."""
    return click.option("-o", "--output", required=required, type=PATH, help=help)


def he_mpp(
    help: str = "µm per pixel of the H&E, if the file does not say.", default: float | None = None
) -> Decorator:
    """The option for the pixel size of an H&E slide or picture."""
    return click.option("--he-mpp", type=UM, default=default, show_default=True, help=help)


def if_mpp(help: str = "µm per pixel of the IF, if the file does not say.") -> Decorator:
    """The option for the pixel size of an IF slide."""
    return click.option("--if-mpp", type=UM, help=help)


class Command(click.Command):
    """A command with options that once had other names, which it still takes, with a warning.

    Parameters
    ----------
    renamed
        Old name to present name, both with dashes.
    """

    def __init__(self, *args: Any, renamed: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed = dict(renamed or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with the present names in the place of old ones."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*map(self._present, args[:end]), *args[end:]])

    def _present(self, word: str) -> str:
        name, equals, value = word.partition("=")
        if name not in self.renamed:
            return word
        warn(f"{name} is now called {self.renamed[name]}; the old name will go")
        return self.renamed[name] + equals + value


class Group(click.Group):
    """Commands whose errors name options, where the library's name arguments."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RegdataError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            raise RegdataError(_written(error.message, command)) from error


_ARGUMENT = re.compile(r"`([a-z]\w*)=([^`]*)`")


def as_options(message: str) -> str:
    """A message of the library with its arguments as options of the command that runs.

    The library writes an argument as in Python, between backquotes: `he_mpp=`, `device="cpu"`,
    `overwrite=True`. Here these are --he-mpp, --device cpu and --overwrite.
    """
    context = click.get_current_context(silent=True)
    return _written(message, context.command if context else None)


def _written(message: str, command: click.Command | None) -> str:
    names = {str(p.name): p for p in command.params} if command else {}

    def option(match: re.Match[str]) -> str:
        name, value = match.group(1), _unquoted(match.group(2))
        param = names.get(name)
        if isinstance(param, click.Argument):
            written = param.human_readable_name
        elif param is not None:
            written = "-o" if "-o" in param.opts else max(param.opts, key=len)
        else:
            written = "--" + name.strip("_").replace("_", "-")
        return written if value in ("", "True") else f"{written} {value}"

    return _ARGUMENT.sub(option, message)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def warn(message: str) -> None:
    """Print a warning to standard error, one line."""
    click.echo(f"Warning: {as_options(message)}", err=True)
