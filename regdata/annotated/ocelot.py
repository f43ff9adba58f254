"""OCELOT 2023 (Ryu et al., 2023): cell patches with points of two classes."""

from pathlib import Path
from typing import Any

import numpy as np

from regdata.annotated.files import child, entries, pair_folders, wrong_folder
from regdata.annotated.read_files import read_json, read_xyc
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet, finish, patient_of
from regdata.errors import RegdataError

_CLASSES = ("BC", "TC")
"""Background cell (1 in the files) and tumour cell (2)."""
_MPP = 0.2


def load_ocelot(directory: Path, split: str | None = None) -> AnnotatedSet:
    """Read the cells of OCELOT: `images/SPLIT/cell`, `annotations/SPLIT/cell`, `metadata.json`.

    x and y are numbers of pixels: the point is the pixel's centre, half a pixel further. Each
    image has its own pixel size, about 0.2 µm, and its organ is the tissue.

    Parameters
    ----------
    split
        `train`, `val` or `test`; all by default.

    Raises
    ------
    RegdataError
        Files are missing or damaged, or an image is not in `metadata.json`.
    """
    images, annotations = child(directory, "images"), child(directory, "annotations")
    metadata = directory / "metadata.json"
    if images is None or annotations is None or not metadata.is_file():
        raise wrong_folder(directory, "images/, annotations/ and metadata.json of OCELOT")
    content = read_json(metadata)
    pairs = content.get("sample_pairs") if isinstance(content, dict) else None
    if not isinstance(pairs, dict):
        raise RegdataError(f"expected sample_pairs in {metadata}, found none")
    found = []
    for part in (path for path in entries(images) if path.is_dir()):
        pictures, tables = child(part, "cell"), child(annotations / part.name, "cell")
        if pictures is None or tables is None:
            raise RegdataError(
                f"expected cell/ in {part} and in {annotations / part.name}, but it is not there"
            )
        for path, table in pair_folders(pictures, tables, ".csv", part):
            found.append(_image(path, table, pairs.get(path.stem), metadata, part.name))
    return finish(found, _CLASSES, _MPP, directory, split)


def _image(path: Path, table: Path, about: Any, metadata: Path, split: str) -> AnnotatedImage:
    try:
        slide, mpp = str(about["slide_name"]), float(about["cell"]["resized_mpp_x"])
        tissue = str(about.get("organ", ""))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RegdataError(
            f"expected slide_name and cell.resized_mpp_x of {path.stem} in {metadata}, "
            f"found {about}"
        ) from error
    if not 0 < mpp < 10:
        raise RegdataError(f"expected µm per pixel of {path.stem} in {metadata}, found {mpp}")
    xy, kinds = read_xyc(table, len(_CLASSES) + 1)
    if not kinds.all():
        raise RegdataError(f"expected classes 1 and 2 in {table}, found 0")
    return AnnotatedImage(
        path=path,
        points_xy=xy + 0.5,
        labels=(kinds - 1).astype(np.int64),
        slide=slide,
        split=split,
        patient=patient_of(slide),
        tissue=tissue,
        mpp=mpp,
    )
