"""Options that `segment` and `build` share: where nuclei are looked for, and with what."""

from collections.abc import Callable
from typing import Any

import click

_Command = Callable[..., Any]

_WHERE = (
    click.option("--region", help="Only x,y,w,h (level-0 pixels of the H&E)."),
    click.option(
        "--tissue", default="auto", show_default=True, help="auto, all, or a GeoJSON file."
    ),
    click.option(
        "--skip-bad-tiles", is_flag=True, help="Leave out blurred, folded or marked tiles."
    ),
)
_RESOURCES = (
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        help="Tiles at once; 1 on a CPU, 8 on a GPU by default.",
    ),
    click.option(
        "--workers", type=click.IntRange(1), default=2, show_default=True, help="Threads."
    ),
)


def nuclei_options(command: _Command) -> _Command:
    """Add the options that say where nuclei are looked for."""
    return _with(_WHERE, command)


def resource_options(command: _Command) -> _Command:
    """Add the options on which speed depends, and results do not."""
    return _with(_RESOURCES, command)


def _with(options: tuple[Callable[[_Command], _Command], ...], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
