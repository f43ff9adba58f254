"""The command `regdata register`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regdata.commands.warp import check_output
from regdata.errors import RegdataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from regdata.registration import Judged, SlidePair
    from regdata.transforms import Transform

    Landmarks = tuple[NDArray[np.float64], NDArray[np.float64]] | None

_PATH = click.Path(path_type=Path)
_MPP = click.FloatRange(0, min_open=True)
_METHODS = ("ours", "affine", "simpleitk", "elastix", "valis")


@click.command()
@click.option("--he", required=True, type=_PATH, help="H&E slide.")
@click.option("--if", "if_", required=True, type=_PATH, help="Immunofluorescence slide.")
@click.option("-o", "--output", required=True, type=_PATH, help="The transform (.h5) to write.")
@click.option("--dapi", help="Nuclear channel, name or index; found by its name by default.")
@click.option("--he-mpp", type=_MPP, help="µm per pixel of the H&E, if the file does not say.")
@click.option("--if-mpp", type=_MPP, help="µm per pixel of the IF, if the file does not say.")
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
    type=click.Choice(_METHODS),
    default="ours",
    show_default=True,
    help="What finds the map.",
)
@click.option("--compare", help="Run several backends (ours,elastix,...) and keep the best.")
@click.option("--transform", type=_PATH, help="Judge this map (.h5) instead of finding one.")
@click.option("--valis-python", type=_PATH, help="Interpreter of the environment with VALIS.")
@click.option(
    "--landmarks", nargs=2, type=_PATH, help="Two CSV of points, H&E and IF: report the error."
)
@click.option(
    "--report", type=_PATH, help="Folder of pictures and tiles; OUTPUT_report by default."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def register(
    he: Path,
    if_: Path,
    output: Path,
    dapi: str | None,
    he_mpp: float | None,
    if_mpp: float | None,
    moving_stain: str,
    serial: bool,
    backend: str,
    compare: str | None,
    transform: Path | None,
    valis_python: Path | None,
    landmarks: tuple[Path, Path] | None,
    report: Path | None,
    overwrite: bool,
) -> None:
    """Find the map from the H&E slide to the IF slide of one section, to a cell.

    Any rotation, mirrored or not, stretched tissue; slides of different tissue are refused.
    Pictures and an error in µm for every tile lie in the report. `regdata warp`, `warp-points`
    and `warp-geojson` take the file.
    """
    _check_one_way(backend, compare, serial, transform)
    methods = _methods(backend, compare)
    check_output(output, overwrite, he, if_)
    from regdata.files import bar
    from regdata.registration import (
        best_of,
        check_verdict,
        judge_given,
        run,
        write_comparison,
        write_report,
    )
    from regdata.registration.backends import ValisRun, check_backend
    from regdata.transforms import load_transform, read_landmarks

    for method in methods:
        if method not in ("ours", "affine"):
            check_backend(method, valis_python)
    points = (read_landmarks(landmarks[0]), read_landmarks(landmarks[1])) if landmarks else None
    pair = _open(he, if_, (he_mpp, if_mpp), dapi, moving_stain)
    folder = report or output.with_name(f"{output.stem}_report")
    valis = ValisRun(valis_python)
    if serial:
        _serial(pair, output, points, moving_stain)
        return
    if transform:
        judged = [judge_given(pair, load_transform(transform), bar)]
    else:
        judged = [run(pair, method, bar, valis) for method in methods]
    best = best_of(judged)
    write_report(pair, best, folder)
    if len(judged) > 1:
        table = write_comparison(judged, folder / "comparison.csv")
        click.echo(table.to_string(index=False))
    _print_landmarks(pair, points, {one.method: one.registration.he_to_if for one in judged})
    check_verdict(pair, best, folder)
    best.registration.save(output, _about(pair, best, moving_stain))
    _print(best, output, folder)


def _open(
    he: Path,
    if_: Path,
    mpps: tuple[float | None, float | None],
    dapi: str | None,
    stain: Any,
) -> "SlidePair":
    from regdata.chain import open_he_if
    from regdata.registration import SlidePair
    from regdata.slides import find_dapi

    he_slide, moving = open_he_if(he, if_, *mpps)
    if stain == "dapi":
        return SlidePair(he_slide, moving, find_dapi(moving.channels, dapi))
    from regdata.registration.pose import as_fluorescence

    return SlidePair(he_slide, as_fluorescence(moving, stain), 0)


def _check_one_way(backend: str, compare: str | None, serial: bool, transform: Path | None) -> None:
    ways = {
        "--serial": serial,
        "--transform": transform,
        "--compare": compare,
        "--backend": backend != "ours",
    }
    chosen = [name for name, given in ways.items() if given]
    if len(chosen) > 1:
        raise RegdataError(f"{' and '.join(chosen)} exclude each other; choose one")


def _methods(backend: str, compare: str | None) -> list[Any]:
    if compare is None:
        return [backend]
    methods = list(dict.fromkeys(name.strip() for name in compare.split(",") if name.strip()))
    unknown = [name for name in methods if name not in _METHODS]
    if unknown or len(methods) < 2:
        raise RegdataError(
            f"--compare {compare}: expected two or more of {', '.join(_METHODS)}, parted by commas"
        )
    return methods


def _print_landmarks(
    pair: "SlidePair", points: "Landmarks", transforms: dict[str, "Transform"]
) -> None:
    """Say how far landmarks are off under each transform."""
    if points is None:
        return
    from regdata.registration import target_registration_error

    mpps = pair.he.known_mpp("--he-mpp"), pair.if_.known_mpp("--if-mpp")
    for name, transform in transforms.items():
        e = target_registration_error(points[0], points[1], transform, *mpps, pair.he.size)
        click.echo(
            f"landmarks, {name}: {e.count} points, error median {e.median_um:.2f}, mean "
            f"{e.mean_um:.2f}, p90 {e.p90_um:.2f}, max {e.max_um:.2f} µm; of the diagonal (rTRE) "
            f"median {e.median_rtre:.4%}, mean {e.mean_rtre:.4%}, max {e.max_rtre:.4%}; "
            f"{e.robustness:.0%} closer than unregistered"
        )


def _about(pair: "SlidePair", best: "Judged", stain: str) -> dict[str, str | float | int]:
    """What the transform file says of its making."""
    return {
        "he": str(pair.he.path),
        "if": str(pair.if_.path),
        **_sizes(pair),
        "channel": pair.if_.channels[pair.channel],
        "moving_stain": stain,
        "backend": best.method,
        "verdict": best.verdict.status,
        "tiles_accepted": best.verdict.accepted,
        "expected_error_um": best.verdict.median_um,
    }


def _sizes(pair: "SlidePair") -> dict[str, float]:
    he_mpp = pair.he.known_mpp("--he-mpp")
    return {
        "he_mpp": he_mpp,
        "if_mpp": pair.if_.known_mpp("--if-mpp"),
        "he_width_um": pair.he.size[0] * he_mpp,
        "he_height_um": pair.he.size[1] * he_mpp,
    }


def _print(best: "Judged", output: Path, folder: Path) -> None:
    found, judged = best.registration, best.verdict
    click.echo(
        f"{output}: correlation {found.correlation:.2f} (affine {found.affine_correlation:.2f}), "
        f"{judged.accepted:.0%} of {judged.tiles} tiles accepted, expected error median "
        f"{judged.median_um:.2f}, p90 {judged.p90_um:.2f} µm; look at {folder}"
    )
    for reason in judged.reasons:
        click.echo(f"warning: {reason}", err=True)


def _serial(pair: "SlidePair", output: Path, points: "Landmarks", stain: str) -> None:
    """Register neighbouring sections, which share structure and no nuclei."""
    from regdata.files import bar
    from regdata.registration import register_serial

    with bar("register") as progress:
        found = register_serial(pair.he, pair.if_, pair.channel, progress)
    _print_landmarks(pair, points, {"ours": found.he_to_if})
    about: dict[str, str | float | int] = {
        "he": str(pair.he.path),
        "if": str(pair.if_.path),
        **_sizes(pair),
        "moving_stain": stain,
        "backend": "serial",
    }
    found.save(output, about)
    click.echo(f"{output}: correlation of structure {found.correlation:.2f}")
    click.echo(
        "warning: neighbouring sections share no nuclei; labels need the same section", err=True
    )
