"""The commands `regdata export-transform` and `import-transform`."""

from pathlib import Path

import click

from regdata.commands.options import PATH, UM, he_mpp, output, overwrite
from regdata.errors import RegdataError


@click.command("export-transform")
@click.argument("transform", type=PATH)
@output("The .tfm, .txt or .h5 to write.")
@click.option("--spacing-um", type=UM, default=4.0, show_default=True, help="Of the field.")
@overwrite
def export_transform(transform: Path, output: Path, spacing_um: float, overwrite: bool) -> None:
    """Write a transform for ITK, SimpleITK, elastix and 3D Slicer.

    Units are µm, and an image's first pixel lies half a pixel inside its corner; docs/transform.md
    says how to set that.
    """
    from regdata.public import check_output

    check_output(output, overwrite, transform)
    from regdata.transforms import load_transform, read_about, write_itk

    he_to_if, about = load_transform(transform), read_about(transform)
    size = (float(about.get("he_width_um", 0)), float(about.get("he_height_um", 0)))
    if he_to_if.is_affine:
        size = (1.0, 1.0)  # a matrix has no extent
    elif min(size) <= 0:
        raise RegdataError(
            f"{transform} does not say the size of the H&E slide, which a field for ITK needs; "
            "register the slides with this version of regdata"
        )
    write_itk(output, he_to_if, size, spacing_um)
    click.echo(f"{output}: for ITK, H&E µm to IF µm")


@click.command("import-transform")
@click.argument("source", type=PATH, required=False)
@click.option("--landmarks", nargs=2, type=PATH, help="Two CSV of points, H&E and IF, instead.")
@click.option(
    "--kind",
    type=click.Choice(["similarity", "affine"]),
    default="affine",
    show_default=True,
    help="What is fitted to landmarks.",
)
@output("The transform (.h5) to write.")
@he_mpp("µm per pixel of the H&E.")
@click.option("--if-mpp", type=UM, help="µm per pixel of the IF.")
@overwrite
def import_transform(
    source: Path | None,
    landmarks: tuple[Path, Path] | None,
    kind: str,
    output: Path,
    he_mpp: float | None,
    if_mpp: float | None,
    overwrite: bool,
) -> None:
    """Make a transform file of one of ITK, or of landmarks.

    SOURCE maps points of the H&E to the IF, in µm. `regdata register --transform` judges the
    result.
    """
    if (source is None) == (landmarks is None):
        raise RegdataError("expected a transform of ITK or --landmarks HE IF, one of the two")
    from regdata.public import check_output

    check_output(output, overwrite, *(landmarks or ()), *((source,) if source else ()))
    from regdata.transforms import fit_landmarks, read_itk, read_landmarks, save_transform

    about: dict[str, str | float | int] = {"backend": "import"}
    about |= {"he_mpp": he_mpp} if he_mpp else {}
    about |= {"if_mpp": if_mpp} if if_mpp else {}
    if source is not None:
        he_to_if = read_itk(source)
    elif landmarks is None or he_mpp is None or if_mpp is None:
        raise RegdataError("landmarks are in pixels: pass --he-mpp and --if-mpp (µm per pixel)")
    else:
        he, if_ = (read_landmarks(path) for path in landmarks)
        he_to_if = fit_landmarks(
            he * he_mpp, if_ * if_mpp, "affine" if kind == "affine" else "similarity"
        )
    save_transform(output, he_to_if, about)
    click.echo(f"{output}: {'affine' if he_to_if.is_affine else 'with a displacement'}")
