"""The command `regdata register`."""

from pathlib import Path

import click

from regdata.cli_warp import check_output

_PATH = click.Path(path_type=Path)
_MPP = click.FloatRange(0, min_open=True)


@click.command()
@click.option("--he", required=True, type=_PATH, help="H&E slide.")
@click.option("--if", "if_", required=True, type=_PATH, help="Immunofluorescence slide.")
@click.option("-o", "--output", required=True, type=_PATH, help="The transform (.h5) to write.")
@click.option("--dapi", help="Nuclear channel, name or index; found by its name by default.")
@click.option("--he-mpp", type=_MPP, help="µm per pixel of the H&E, if the file does not say.")
@click.option("--if-mpp", type=_MPP, help="µm per pixel of the IF, if the file does not say.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def register(
    he: Path,
    if_: Path,
    output: Path,
    dapi: str | None,
    he_mpp: float | None,
    if_mpp: float | None,
    overwrite: bool,
) -> None:
    """Find the affine map from the H&E slide to the IF slide of one section.

    Any rotation, mirrored or not; slides of different tissue are refused. `regdata warp`,
    `warp-points` and `warp-geojson` take the file.
    """
    check_output(output, overwrite, he, if_)
    from regdata.channels import find_dapi
    from regdata.pair import open_he_if
    from regdata.progress import bar
    from regdata.registration.register import register as run
    from regdata.transform_file import save_transform

    he_slide, if_slide = open_he_if(he, if_, he_mpp, if_mpp)
    channel = find_dapi(if_slide.channels, dapi)
    with bar("register") as progress:
        found = run(he_slide, if_slide, channel, progress)
    about: dict[str, str | float | int] = {
        "he": str(he),
        "if": str(if_),
        "he_mpp": he_slide.known_mpp("--he-mpp"),
        "if_mpp": if_slide.known_mpp("--if-mpp"),
        "dapi": if_slide.channels[channel],
        "correlation": found.correlation,
        "z": found.z,
    }
    save_transform(output, found.he_to_if, about)
    click.echo(
        f"{output}: hematoxylin-DAPI correlation {found.correlation:.2f}, "
        f"{found.z:.0f} standard deviations above chance"
    )
