"""`regdata.register`."""

from collections.abc import Sequence
from pathlib import Path

from regdata.paths import StrPath, path_of
from regdata.public.judging import (
    Backend,
    Registering,
    RegisterOptions,
    RegistrationSummary,
    Stain,
)


def register(
    he: StrPath,
    if_: StrPath,
    output: StrPath,
    *,
    dapi: str | None = None,
    he_mpp: float | None = None,
    if_mpp: float | None = None,
    moving_stain: Stain = "dapi",
    serial: bool = False,
    backend: Backend = "ours",
    compare: Sequence[Backend] = (),
    transform: StrPath | None = None,
    valis_python: StrPath | None = None,
    landmarks: tuple[StrPath, StrPath] | None = None,
    report: StrPath | None = None,
    overwrite: bool = False,
) -> RegistrationSummary:
    """Find the map from the H&E slide to the IF slide of one section, judge it, and write it.

    Parameters
    ----------
    he, if_
        The two slides.
    output
        The transform (`.h5`) to write; it maps H&E µm to IF µm.
    dapi
        Nuclear channel, name or index; found by its name by default.
    he_mpp, if_mpp
        µm per pixel, where the file does not say or is wrong.
    moving_stain
        What shows the nuclei of `if_`: dapi, or hematoxylin or dab of a bright-field slide.
    serial
        The slides are neighbouring sections, not one.
    backend
        What finds the map: ours, affine, simpleitk, elastix or valis.
    compare
        Several of these, of which the best is kept.
    transform
        Judge this map (`.h5`) instead of finding one.
    valis_python
        Interpreter of the environment with VALIS.
    landmarks
        Two CSV of points (x, y; level-0 pixels) of the H&E and the IF, whose error is reported.
    report
        Folder of pictures and tiles; OUTPUT_report by default.
    overwrite
        Replace an existing file.

    Returns
    -------
    RegistrationSummary
        The map, how far it can be trusted, and errors of landmarks.

    Raises
    ------
    RegdataError
        The slides are of different tissue, cannot be registered well enough, or the options
        exclude each other.

    Examples
    --------
    >>> import regdata
    >>> summary = regdata.register("he.svs", "if.ome.tif", "t.h5")  # doctest: +SKIP
    >>> summary.verdict.median_um  # doctest: +SKIP
    0.31
    """
    options = RegisterOptions(
        he=Path(he),
        if_=Path(if_),
        output=Path(output),
        dapi=dapi,
        he_mpp=he_mpp,
        if_mpp=if_mpp,
        moving_stain=moving_stain,
        serial=serial,
        backend=backend,
        compare=tuple(compare),
        transform=path_of(transform),
        valis_python=path_of(valis_python),
        landmarks=(Path(landmarks[0]), Path(landmarks[1])) if landmarks else None,
        report=path_of(report),
        overwrite=overwrite,
    )
    registering = Registering(options)
    return registering.keep(registering.judge())
