"""`regdata.export`."""

from pathlib import Path
from typing import Literal

from regdata.exports import ExportOptions, ExportSummary, export_cells
from regdata.files import bar
from regdata.paths import StrPath, path_of

Format = Literal["geojson", "coco", "cellvit", "pannuke", "parquet", "spatialdata", "clam"]


def export(
    file: StrPath,
    output: StrPath,
    *,
    format: Format,
    crop: int | None = None,
    crop_mpp: float = 0.25,
    he: StrPath | None = None,
    slide: str | None = None,
    keep_unknown: bool = False,
    tokens: bool = False,
    test_share: float = 0.2,
    tissue_type: str = "unknown",
    overwrite: bool = False,
) -> ExportSummary:
    """Write a file of cells in a format that other tools read.

    Parameters
    ----------
    file
        Of `build`, `segment` or `regdata label-images`.
    output
        The file (geojson, parquet, clam, and coco without `crop`) or the folder to write.
    format
        What to write; see docs/export.md.
    crop
        Pixels of a crop, for coco, cellvit and pannuke; 256 by default, for coco the whole slide.
    crop_mpp
        µm per pixel of a crop.
    he
        The H&E slide, if it is no longer where it was.
    slide
        Only the cells of this slide.
    keep_unknown
        Crops: unknown labels as a class, too.
    tokens
        parquet: the tokens, too.
    test_share
        Crops: this share of the nuclei is put aside, by patient.
    tissue_type
        pannuke: what `types.npy` says.
    overwrite
        Replace an existing export.

    Returns
    -------
    ExportSummary
        Cells per class, cells left out, and crops per part.

    Raises
    ------
    RegdataError
        The options do not fit, the output is taken, a library or the H&E slide is missing, or
        nothing is left to export.

    Examples
    --------
    >>> import regdata
    >>> regdata.export("cells.h5", "cells.geojson", format="geojson")  # doctest: +SKIP
    """
    options = ExportOptions(
        file=Path(file),
        output=Path(output),
        format=format,
        crop=crop,
        crop_mpp=crop_mpp,
        he=path_of(he),
        slide=slide,
        keep_unknown=keep_unknown,
        tokens=tokens,
        test_share=test_share,
        tissue_type=tissue_type,
        overwrite=overwrite,
    )
    with bar("export") as progress:
        return export_cells(options, progress)
