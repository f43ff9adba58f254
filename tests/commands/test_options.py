"""Arguments of the library become options of the command, and old names still work."""

import click
import pytest
from click.testing import CliRunner

from regdata.commands import main
from regdata.commands.options import Command, Group, as_options, he_mpp, output, overwrite
from regdata.errors import RegdataError


@click.group(cls=Group)
def group() -> None:
    """A group like the real one."""


@group.command(cls=Command, renamed={"--mpp": "--he-mpp"})
@click.argument("slides", nargs=-1)
@click.option("--if", "if_")
@click.option("--marker", "markers", multiple=True)
@output("Out.", required=False)
@overwrite
@he_mpp()
def cut(he_mpp: float | None, markers: tuple[str, ...], **_: object) -> None:
    if markers:
        raise RegdataError(markers[0])
    click.echo(f"{he_mpp}")


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("x.tif; pass `he_mpp=` (µm)", "x.tif; pass --he-mpp (µm)"),
        ("pass `overwrite=True`", "pass --overwrite"),
        ("another `output=`", "another -o"),
        ("are `if_=` and `markers=CD3` right", "are --if and --marker CD3 right"),
        ("`markers=T=CD3|CD20`: no", "--marker T=CD3|CD20: no"),
        ("use `device='cpu'`", "use --device cpu"),
        ("`slides=` is empty", "SLIDES is empty"),
        ("made by `regdata build --masks`, {a}.tif", "made by `regdata build --masks`, {a}.tif"),
        ("`skip_bad_tiles=True`, `set_=NAME:DIR`", "--skip-bad-tiles, --set NAME:DIR"),
    ],
)
def test_messages_name_options(message: str, printed: str) -> None:
    result = CliRunner().invoke(group, ["cut", "--marker", message])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {printed}\n"


def test_warnings_name_options_too() -> None:
    assert as_options("pass `he_mpp=`") == "pass --he-mpp"


@pytest.mark.parametrize("words", [["--mpp", "0.5"], ["--mpp=0.5"]])
def test_old_names_work_and_warn(words: list[str]) -> None:
    result = CliRunner().invoke(group, ["cut", *words])
    assert result.exit_code == 0
    assert result.stdout == "0.5\n"
    assert result.stderr == "Warning: --mpp is now called --he-mpp; the old name will go\n"
    assert "--mpp " not in CliRunner().invoke(group, ["cut", "--help"]).output


def test_what_follows_two_dashes_is_no_option() -> None:
    result = CliRunner().invoke(group, ["cut", "--", "--mpp"])
    assert (result.exit_code, result.stderr) == (0, "")


WRITES = sorted(set(main.commands) - {"models"})


@pytest.mark.parametrize("name", WRITES)
def test_commands_that_write_take_output_and_overwrite(name: str) -> None:
    options = {word for p in main.commands[name].params for word in p.opts}
    assert {"-o", "--output", "--overwrite"} <= options
    assert "--mpp" not in options


def test_one_name_for_one_thing() -> None:
    """An argument has the same option in all commands, and an option the same argument."""
    params = [p for c in main.commands.values() for p in c.params if isinstance(p, click.Option)]
    pairs = {(str(p.name), max(p.opts, key=len)) for p in params}
    assert len({name for name, _ in pairs}) == len({option for _, option in pairs}) == len(pairs)


def test_renamed_options_lead_to_present_ones() -> None:
    renamed = 0
    for command in main.commands.values():
        options = {word for p in command.params for word in p.opts}
        for old, new in getattr(command, "renamed", {}).items():
            assert old not in options
            assert new in options
            renamed += 1
    assert renamed > 8
