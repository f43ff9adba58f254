"""The commands `regdata warp`, `warp-points` and `warp-geojson`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regdata.commands.options import PATH, UM, Command, he_mpp, if_mpp, output, overwrite
from regdata.errors import RegdataError

if TYPE_CHECKING:
    from regdata.transforms import PixelMap

_FORMATS = (".tif", ".tiff", ".zarr")


@click.command(cls=Command, renamed={"--mpp": "--output-mpp"})
@click.option("--he", required=True, type=PATH, help="H&E slide, whose frame is taken.")
@click.option("--if", "if_", required=True, type=PATH, help="Slide to bring into that frame.")
@click.option("--transform", required=True, type=PATH, help="File of regdata register.")
@output("The .ome.tif or .ome.zarr to write.")
@click.option("--output-mpp", type=UM, help="µm per pixel to write; those of the H&E by default.")
@click.option("--channel", "channels", multiple=True, help="Name or index; all by default.")
@he_mpp()
@if_mpp()
@overwrite
def warp(
    he: Path,
    if_: Path,
    transform: Path,
    output: Path,
    output_mpp: float | None,
    channels: tuple[str, ...],
    he_mpp: float | None,
    if_mpp: float | None,
    overwrite: bool,
) -> None:
    """Write the IF slide in the frame of the H&E slide as a pyramid for any viewer."""
    if output.suffix.lower() not in _FORMATS:
        raise RegdataError(f"{output}: expected a name that ends in .ome.tif or .ome.zarr")
    from regdata.public import check_output

    check_output(output, overwrite, he, if_, transform)
    from regdata.files import bar
    from regdata.slides import find_channel, open_slide
    from regdata.transforms import load_transform, warped, write_warped

    he_to_if = load_transform(transform)
    he_slide, if_slide = open_slide(he).with_mpp(he_mpp), open_slide(if_).with_mpp(if_mpp)
    he_slide.known_mpp("he_mpp")
    if_slide.known_mpp("if_mpp")
    wanted = list(dict.fromkeys(find_channel(if_slide.channels, name) for name in channels)) or None
    on_he = warped(if_slide, he_slide, he_to_if, output_mpp)
    with bar("warp") as progress:
        width, height = write_warped(output, on_he, wanted, progress)
    count = len(wanted or if_slide.channels)
    written = f"{width} x {height} pixels at {output_mpp or he_slide.mpp:g} µm, {count} channels"
    click.echo(f"{output}: {written}")


def _options(command: Callable[..., None]) -> Callable[..., Any]:
    """What both commands on coordinates take."""
    options = (
        click.option("--transform", required=True, type=PATH, help="File of regdata register."),
        output("The file to write."),
        click.option(
            "--from",
            "origin",
            required=True,
            type=click.Choice(["he", "if"]),
            help="Slide the coordinates are of; they are written for the other one.",
        ),
        he_mpp("µm per pixel of the H&E; as registered by default."),
        click.option("--if-mpp", type=UM, help="µm per pixel of the IF; as registered by default."),
        overwrite,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("warp-points")
@click.argument("points", type=PATH)
@_options
def warp_points(points: Path, output: Path, overwrite: bool, **choices: Any) -> None:
    """Map points of one slide to the other.

    POINTS is a CSV file with columns x and y, full-resolution pixels; other columns are kept.
    """
    from regdata.public import check_output

    check_output(output, overwrite, points, choices["transform"])
    from regdata.transforms import warp_points as run

    count = run(points, output, _map(**choices))
    click.echo(f"{output}: {count} points")


@click.command("warp-geojson")
@click.argument("geojson", type=PATH)
@_options
def warp_geojson(geojson: Path, output: Path, overwrite: bool, **choices: Any) -> None:
    """Map outlines and points of one slide to the other.

    GEOJSON is a file as QuPath exports it (full-resolution pixels), plain or gzipped; whatever
    it says besides coordinates is kept. The output is gzipped if its name ends in .gz.
    """
    from regdata.public import check_output

    check_output(output, overwrite, geojson, choices["transform"])
    from regdata.transforms import warp_geojson as run

    count = run(geojson, output, _map(**choices))
    click.echo(f"{output}: {count} positions")


def _map(transform: Path, origin: str, he_mpp: float | None, if_mpp: float | None) -> "PixelMap":
    from regdata.transforms import PixelMap, load_transform, read_about

    he_to_if, about = load_transform(transform), read_about(transform)
    he = _known(he_mpp, about.get("he_mpp"), "H&E", transform)
    if_ = _known(if_mpp, about.get("if_mpp"), "IF", transform)
    if origin == "he":
        return PixelMap(he_to_if, he, if_)
    return PixelMap(he_to_if.inverse(), if_, he)


def _known(given: float | None, stored: object, slide: str, transform: Path) -> float:
    """The pixel size of a slide: as the user says, else as the transform does."""
    if given is not None:
        return given
    if isinstance(stored, int | float) and stored > 0:
        return float(stored)
    option = "--he-mpp" if slide == "H&E" else "--if-mpp"
    raise RegdataError(
        f"{transform} does not say the pixel size of the {slide} slide; "
        f"pass {option} (µm per pixel)"
    )
