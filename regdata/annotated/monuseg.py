"""MoNuSeg (Kumar et al., 2017): outlines in XML as Aperio ImageScope writes it."""

import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import IMAGE_SUFFIXES, below, pair_files, wrong_folder
from regdata.annotated.maps import Ring, centroid, draw
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet, finish, patient_of
from regdata.errors import RegdataError
from regdata.slides import picture_size

_CLASSES = ("nucleus",)
_MPP = 0.25


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type: it may define entities, and ImageScope writes none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"document type {name}")


def load_monuseg(directory: Path, split: str | None = None) -> AnnotatedSet:
    """Read MoNuSeg (0.25 µm/px): `NAME.tif` and `NAME.xml`, together or in sub-folders.

    Points are the centroids of the polygons, with vertices as exact as written. In the outlines
    a smaller nucleus lies on top of a larger one.

    Parameters
    ----------
    split
        `train` or `test`, where folders with these words in their names hold the files.

    Raises
    ------
    RegdataError
        Files are missing, damaged or without their other file.
    """
    files = [path for path in below(directory) if path.is_file()]
    tables = [path for path in files if path.suffix.lower() == ".xml"]
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not tables or not pictures:
        raise wrong_folder(directory, "NAME.tif and NAME.xml of MoNuSeg")
    images = [
        _image(path, table, _split(path, directory))
        for path, table in pair_files(pictures, tables, ".xml", directory)
    ]
    return finish(images, _CLASSES, _MPP, directory, split)


def _read_regions(path: Path) -> list[Ring]:
    """(N, 2) vertices of each region in a file, pixels.

    Raises
    ------
    RegdataError
        The file is damaged, has a document type, or a region without vertices.
    """
    try:
        root = ET.fromstring(path.read_bytes(), ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, OSError, ValueError) as error:
        raise RegdataError(f"expected XML of ImageScope in {path}, found {error}") from error
    regions = root.findall(".//Region")
    try:
        rings = [
            np.array([(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")])
            for region in regions
        ]
    except (KeyError, ValueError) as error:
        raise RegdataError(f"expected X and Y of each Vertex in {path}, found {error}") from error
    if root.tag != "Annotations" or not all(len(ring) for ring in rings):
        raise RegdataError(f"expected Annotations with Regions of Vertices in {path}, found others")
    return rings


def _image(path: Path, table: Path, split: str) -> AnnotatedImage:
    points = [centroid(ring)[1] for ring in _read_regions(table)]
    return AnnotatedImage(
        path=path,
        points_xy=np.array(points, np.float64).reshape(-1, 2),
        labels=np.zeros(len(points), np.int64),
        slide=path.stem,
        split=split,
        patient=patient_of(path.stem),
        outlines=partial(_outlines, path, table),
    )


def _outlines(path: Path, table: Path) -> NDArray[np.int32]:
    return draw([[ring] for ring in _read_regions(table)], picture_size(path))


def _split(path: Path, directory: Path) -> str:
    names = " ".join(path.relative_to(directory).parts[:-1]).casefold()
    return next((name for name in ("test", "train") if name in names), "")
