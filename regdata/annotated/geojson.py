"""Annotations of one image in GeoJSON, as QuPath exports them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from regdata.annotated.files import child, contents, entries, list_images
from regdata.annotated.maps import centroid
from regdata.annotated.points import NamedPoints, to_set
from regdata.annotated.sets import AnnotatedSet, finish
from regdata.cells import read_features
from regdata.errors import RegdataError


def load_geojson(file: Path, images: Path, mpp: float = 0.25) -> AnnotatedSet:
    """Read the classified objects of one image; a polygon stands for its centroid.

    Objects without a classification are left out. A class whose name ends in `*` (which QuPath
    ignores) is a nucleus without a class. Coordinates are full-resolution pixels of the image.

    Parameters
    ----------
    file
        FeatureCollection or bare list of features, `.geojson`, `.json`, either also `.gz`.
    images
        The image, or a folder with an image of the same name, or with one image only.
    mpp
        Pixel size of the image, µm.

    Raises
    ------
    RegdataError
        The file is no GeoJSON, holds no classified object, or its image is not found.
    """
    points = _read(file, images)
    if not len(points.names):
        raise RegdataError(
            f"expected objects with a classification in {file}, found none; "
            "set a class in QuPath before exporting"
        )
    return to_set([points], mpp)


def load_geojson_folder(
    directory: Path, mpp: float = 0.25, split: str | None = None
) -> AnnotatedSet:
    """Read every GeoJSON file of a folder, each of the image of its name, there or in `images`.

    Parameters
    ----------
    mpp
        Pixel size of the images, µm.

    Raises
    ------
    RegdataError
        There is no file, one has no image, or none holds a classified object.
    """
    there = entries(directory)
    bare = [(path, path.name.removesuffix(".gz")) for path in there]
    files = [path for path, name in bare if name.endswith(".geojson")]
    files = files or [path for path, name in bare if name.endswith(".json")]
    if not files:
        raise RegdataError(
            f"expected NAME.geojson beside NAME.png in {directory}, found {contents(directory)}"
        )
    pictures = {path.stem: path for path in list_images(child(directory, "images") or directory)}
    alone = next((file for file in files if _stem(file) not in pictures), None)
    if alone is not None:
        raise RegdataError(
            f"expected {_stem(alone)}.png or the like for {alone}, but it is not there"
        )
    found = to_set([_read(file, pictures[_stem(file)]) for file in files], mpp)
    return finish(found.images, found.classes, mpp, directory, split)


def _read(file: Path, images: Path) -> NamedPoints:
    """Points of the classified objects of a file."""
    found = [
        (point, name)
        for feature in read_features(file)
        if (name := _class_name(feature)) is not None
        for point in _points(feature, file)
    ]
    xy = np.array([point for point, _ in found], np.float64).reshape(-1, 2)
    names = [None if name.endswith("*") else name for _, name in found]
    return NamedPoints(_image_of(file, images), xy, names)


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".json").removesuffix(".geojson")


def _image_of(file: Path, images: Path) -> Path:
    if images.is_file():
        return images
    candidates = list_images(images)
    stem = _stem(file)
    same = [path for path in candidates if path.stem == stem]
    if len(same or candidates) != 1:
        raise RegdataError(
            f"expected one image named {stem}.* in {images} for {file.name}, found "
            f"{contents(images)}; name the image file itself"
        )
    return (same or candidates)[0]


def _class_name(feature: dict[str, Any]) -> str | None:
    properties = feature.get("properties") or {}
    entry = properties.get("classification")
    if isinstance(entry, dict):
        names = entry.get("names")  # QuPath 0.6 writes parts of a derived class
        return ": ".join(names) if names else entry.get("name")
    return entry if isinstance(entry, str) else None


def _points(feature: dict[str, Any], file: Path) -> Iterator[tuple[float, float]]:
    """(x, y) of each point, or of the centroid of a polygon's outline."""
    geometry = feature["geometry"]
    kind = geometry.get("type")
    try:
        value = geometry["coordinates"]
        if kind == "Point":
            yield (float(value[0]), float(value[1]))
        elif kind == "MultiPoint":
            yield from ((float(x), float(y)) for x, y, *_ in value)
        elif kind in ("Polygon", "MultiPolygon"):
            rings = [value[0]] if kind == "Polygon" else [part[0] for part in value]
            centroids = [centroid(np.array(ring, np.float64)[:, :2]) for ring in rings]
            yield max(centroids)[1]
        else:
            raise RegdataError(
                f"expected points or polygons in {file}, found {kind}; remove or convert it"
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RegdataError(f"expected coordinates of a {kind} in {file}, found none") from error
