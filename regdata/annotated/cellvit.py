"""Folders as CellViT++ reads them: `train`, `test` with `images` and `labels` of points."""

from dataclasses import replace
from pathlib import Path

from regdata.annotated.points import load_points
from regdata.annotated.set_files import pair_files, parts_with
from regdata.annotated.sets import AnnotatedSet, list_images
from regdata.annotated.split import finish


def load_cellvit(directory: Path, mpp: float = 0.25, split: str | None = None) -> AnnotatedSet:
    """Read `[train|test/]images/NAME.*` and `labels/NAME.csv` (x, y, class), `label_map.yaml`.

    Coordinates are taken as they are written.

    Parameters
    ----------
    mpp
        µm per pixel of the images.
    split
        Name of a folder in lower case; all by default.

    Raises
    ------
    RegdataError
        Files are missing or damaged.
    """
    found: dict[str, AnnotatedSet] = {}
    for part, pictures, tables in parts_with(directory, "images", "labels", split):
        pair_files(list_images(pictures), tables.glob("*.csv"), ".csv", directory)
        found[part] = load_points(pictures, tables, mpp)
    classes = sorted({name for one in found.values() for name in one.classes})
    mapped = (one.classes for one in found.values() if set(one.classes) == set(classes))
    names = next(mapped, tuple(classes))  # in the order of the label map, if there is one
    images = []
    for part, one in found.items():
        place = [names.index(name) for name in one.classes]
        for image in one.images:
            labels = image.labels.copy()
            for old, new in enumerate(place):
                labels[image.labels == old] = new
            images.append(replace(image, labels=labels, split=part))
    return finish(images, names, mpp, directory, split)
