"""The command `regdata register`."""

from typing import TYPE_CHECKING, Any

import click

from regdata.commands.options import PATH, he_mpp, if_mpp, output, overwrite, warn

if TYPE_CHECKING:
    from regdata.public import RegistrationSummary
    from regdata.registration import RegistrationError

_BACKENDS = ("ours", "affine", "simpleitk", "elastix", "valis")


@click.command()
@click.option("--he", required=True, type=PATH, help="H&E slide.")
@click.option("--if", "if_", required=True, type=PATH, help="Immunofluorescence slide.")
@output("The transform (.h5) to write.")
@click.option("--dapi", help="Nuclear channel, name or index; found by its name by default.")
@he_mpp()
@if_mpp()
@click.option(
    "--moving-stain",
    type=click.Choice(["dapi", "hematoxylin", "dab"]),
    default="dapi",
    show_default=True,
    help="What shows the nuclei of --if; dab for immunohistochemistry.",
)
@click.option("--serial", is_flag=True, help="The slides are neighbouring sections, not one.")
@click.option(
    "--backend",
    type=click.Choice(_BACKENDS),
    default="ours",
    show_default=True,
    help="What finds the map.",
)
@click.option("--compare", help="Run several backends (ours,elastix,...) and keep the best.")
@click.option("--transform", type=PATH, help="Judge this map (.h5) instead of finding one.")
@click.option("--valis-python", type=PATH, help="Interpreter of the environment with VALIS.")
@click.option(
    "--landmarks", nargs=2, type=PATH, help="Two CSV of points, H&E and IF: report the error."
)
@click.option("--report", type=PATH, help="Folder of pictures and tiles; OUTPUT_report by default.")
@overwrite
def register(compare: str | None, **options: Any) -> None:
    """Find the map from the H&E slide to the IF slide of one section, to a cell.

    Any rotation, mirrored or not, stretched tissue; slides of different tissue are refused.
    Pictures and an error in µm for every tile lie in the report. `regdata warp`, `warp-points`
    and `warp-geojson` take the file.
    """
    from regdata.public import Registering, RegisterOptions

    names = tuple(name.strip() for name in (compare or "").split(",") if name.strip())
    registering = Registering(RegisterOptions(compare=names, **options))
    landmarks = registering.judge()
    if registering.compared is not None:
        click.echo(registering.compared.to_string(index=False))
    for name, errors in landmarks.items():
        click.echo(_landmarks_line(name, errors))
    summary = registering.keep(landmarks)
    click.echo(_line(summary))
    for warning in summary.warnings:
        warn(warning)


def _landmarks_line(name: str, e: "RegistrationError") -> str:
    """How far landmarks are off under a map."""
    return (
        f"landmarks, {name}: {e.count} points, error median {e.median_um:.2f}, mean "
        f"{e.mean_um:.2f}, p90 {e.p90_um:.2f}, max {e.max_um:.2f} µm; of the diagonal (rTRE) "
        f"median {e.median_rtre:.4%}, mean {e.mean_rtre:.4%}, max {e.max_rtre:.4%}; "
        f"{e.robustness:.0%} closer than unregistered"
    )


def _line(summary: "RegistrationSummary") -> str:
    """One line about the map."""
    verdict = summary.verdict
    if verdict is None:
        return f"{summary.output}: correlation of structure {summary.correlation:.2f}"
    return (
        f"{summary.output}: correlation {summary.correlation:.2f} (affine "
        f"{summary.affine_correlation:.2f}), {verdict.accepted:.0%} of {verdict.tiles} tiles "
        f"accepted, expected error median {verdict.median_um:.2f}, p90 {verdict.p90_um:.2f} µm; "
        f"look at {summary.report}"
    )
