"""COCO: one JSON of images, categories and annotations with polygons, run lengths or boxes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import child, folder, list_files, wrong_folder
from regdata.annotated.maps import Ring, centroid_of, draw
from regdata.annotated.read_files import read_json
from regdata.annotated.sets import UNNAMED, AnnotatedImage, AnnotatedSet, finish
from regdata.cells import centroids
from regdata.errors import RegdataError

_MPP = 0.25


def load_coco(path: Path, mpp: float = _MPP, split: str | None = None) -> AnnotatedSet:
    """Read COCO: a JSON file, or a folder that holds one or several in it or in `annotations`.

    A point is the centroid of the polygons or of the run lengths, else the centre of the box (x,
    y, width, height), in pixels with corner origin. A crowd counts as one nucleus without a
    class. Outlines are there where every annotation of the image has some.

    Parameters
    ----------
    mpp
        µm per pixel of the images.
    split
        What the name of the file ends in (`instances_train.json`); needed if there are several.

    Raises
    ------
    RegdataError
        Files are missing or damaged, or not COCO.
    """
    file = path if path.is_file() else _find_json(path, split)
    content = read_json(file)
    needed = {"images", "annotations", "categories"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise RegdataError(f"expected images, annotations and categories in {file}, found others")
    try:
        kinds = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        own: dict[Any, list[dict[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
        for entry in content["annotations"]:
            own[entry["image_id"]].append(entry)
        names = tuple(dict.fromkeys(kinds.values()))
        images = [
            _image(
                _find_image(file, entry["file_name"], split), own[entry["id"]], entry, names, kinds
            )
            for entry in content["images"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RegdataError(f"expected COCO in {file}, found a wrong entry: {error!r}") from error
    return finish([replace(image, split=split or "") for image in images], names, mpp, file)


def _find_json(directory: Path, split: str | None) -> Path:
    places = (folder(directory), child(directory, "annotations") or directory)
    found = sorted({path for place in places for path in list_files(place, ".json")})
    if split is not None:
        found = [path for path in found if path.stem.endswith(split)]
    if len(found) != 1:
        wanted = f"*{split}.json" if split else "*.json"
        raise wrong_folder(directory, f"one {wanted} of COCO (there are {len(found)}; name one)")
    return found[0]


def _find_image(file: Path, name: str, split: str | None) -> Path:
    for base in (file.parent, file.parent.parent):
        for part in ("", "images", split or "", f"images/{split}"):
            if (base / part / name).is_file():
                return base / part / name
    raise RegdataError(f"expected the image {name} of {file} beside it or in images/, found none")


def _image(
    path: Path,
    entries: Sequence[dict[str, Any]],
    about: dict[str, Any],
    names: Sequence[str],
    kinds: dict[Any, str],
) -> AnnotatedImage:
    points = [_point(entry) for entry in entries]
    labels = [
        UNNAMED if entry.get("iscrowd") else names.index(kinds[entry["category_id"]])
        for entry in entries
    ]
    shapes = [entry.get("segmentation") for entry in entries]
    size = (int(about["height"]), int(about["width"]))
    outlined = bool(shapes) and all(shapes)
    return AnnotatedImage(
        path=path,
        points_xy=np.array(points, np.float64).reshape(-1, 2),
        labels=np.array(labels, np.int64),
        slide=path.stem,
        outlines=partial(_outlines, shapes, size) if outlined else None,
    )


def _point(entry: dict[str, Any]) -> tuple[float, float]:
    shape = entry.get("segmentation")
    if isinstance(shape, dict):
        (point,) = centroids(decode_runs(shape).astype(np.int32))
        return float(point[0]), float(point[1])
    if shape:
        return centroid_of(_rings(shape))
    x, y, w, h = (float(side) for side in entry["bbox"])
    return x + w / 2, y + h / 2


def _rings(shape: Sequence[Sequence[float]]) -> list[Ring]:
    return [np.array(part, np.float64).reshape(-1, 2) for part in shape]


def _outlines(shapes: Sequence[Any], size: tuple[int, int]) -> NDArray[np.int32]:
    out = draw([[] if isinstance(shape, dict) else _rings(shape) for shape in shapes], size)
    for k, shape in enumerate(shapes):
        if isinstance(shape, dict):
            out[decode_runs(shape) & (out == 0)] = k + 1
    return out


def decode_runs(shape: dict[str, Any]) -> NDArray[np.bool_]:
    """(H, W) mask of run lengths, column by column, as numbers or in COCO's compressed text.

    Examples
    --------
    >>> decode_runs({"size": [2, 2], "counts": [1, 2, 1]}).tolist()
    [[False, True], [True, False]]
    """
    height, width = shape["size"]
    counts = shape["counts"]
    runs = np.array(_inflate(counts) if isinstance(counts, str) else counts, np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"runs of {runs.sum()} pixels in {height} x {width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(flat.reshape(width, height).T, np.bool_)


def _inflate(text: str) -> list[int]:
    """Run lengths of COCO's text: 5 bits a character, from the third on relative to two before."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs
