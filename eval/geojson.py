"""Annotations of one image in GeoJSON, as QuPath exports them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.eval.sets import AnnotatedSet, NamedPoints, contents, list_images, to_set
from regdata.geojson import read_features


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
    found = [
        (point, name)
        for feature in read_features(file)
        if (name := _class_name(feature)) is not None
        for point in _points(feature, file)
    ]
    if not found:
        raise RegdataError(
            f"expected objects with a classification in {file}, found none; "
            "set a class in QuPath before exporting"
        )
    xy = np.array([point for point, _ in found], np.float64)
    names = [None if name.endswith("*") else name for _, name in found]
    return to_set([NamedPoints(_image_of(file, images), xy, names)], mpp)


def _image_of(file: Path, images: Path) -> Path:
    if images.is_file():
        return images
    candidates = list_images(images)
    stem = file.name.removesuffix(".gz").removesuffix(".json").removesuffix(".geojson")
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
            centroids = [_centroid(np.array(ring, np.float64)[:, :2]) for ring in rings]
            yield max(centroids)[1]
        else:
            raise RegdataError(
                f"expected points or polygons in {file}, found {kind}; remove or convert it"
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RegdataError(f"expected coordinates of a {kind} in {file}, found none") from error


def _centroid(ring: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """(area, (x, y)) of a closed or open ring (N, 2); the mean point where the area is 0."""
    origin = ring.mean(axis=0)
    x, y = (ring - origin).T  # near the origin, or the products lose their last digits
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1e-9:
        return 0.0, (float(origin[0]), float(origin[1]))
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area) + origin[0]
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area) + origin[1]
    return abs(float(area)), (float(cx), float(cy))
