"""Nuclei as COCO annotations: of crops, or of the whole slide.

Lin et al., Microsoft COCO, 2014. Polygons run along the edges of pixels, so that pycocotools
makes the very pixels of a nucleus of them: COCO counts from the corner of the first pixel.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.exports.crops import Crop, CropPlan
from regdata.exports.masks import Points, filled, pixel_indices
from regdata.exports.slide import RecordedSlide
from regdata.exports.source import Source
from regdata.files import Progress, replacing
from regdata.report import write_png


def pixel_edges(mask: NDArray[np.uint8]) -> list[Points]:
    """Outlines of a mask along the edges of its pixels, holes filled.

    Parameters
    ----------
    mask
        (H, W), 0 outside.

    Returns
    -------
    list
        Per part (n, 2) corners (x, y), not closed; whole numbers, 0 the left edge of pixel 0.

    Examples
    --------
    >>> [line.tolist() for line in pixel_edges(np.array([[0, 1]], np.uint8))]
    [[[1, 0], [1, 1], [2, 1], [2, 0]]]
    """
    # each pixel as 2 x 2: the left half of pixel i has index 2 i, the right one 2 i + 1, and both
    # go to the nearer edge; a concave corner, which the line cuts, becomes one point
    doubled = mask.repeat(2, 0).repeat(2, 1)
    lines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [_corners((np.asarray(line[:, 0], np.int32) + 1) // 2) for line in lines]


def _corners(line: Points) -> Points:
    """The points at which a line of steps of 0 or 1 along one axis turns."""
    step = np.concatenate([line[1:], line[:1]]) - line
    way = 2 * step[:, 0] + step[:, 1]
    moves = np.flatnonzero(way)
    way = way[moves]
    before = np.concatenate([way[-1:], way[:-1]])
    turns: Points = line[moves[way != before]]
    return turns


def annotation(outline: Points, size: tuple[int, int]) -> dict[str, Any] | None:
    """The shape of one nucleus, cut at the image's edge; None where nothing of it shows.

    Parameters
    ----------
    outline
        (k, 2) indices (x, y) of border pixels.
    size
        (w, h) of the image.
    """
    mask, place = filled(outline, size)
    if not mask.any():
        return None
    parts = [line + np.array(place, np.int32) for line in pixel_edges(mask)]
    points = np.concatenate(parts)
    corner = points.min(0)
    extent = points.max(0) - corner
    return {
        "segmentation": [part.ravel().tolist() for part in parts],
        "bbox": [*corner.tolist(), *extent.tolist()],
        "area": int(np.count_nonzero(mask)),
        "iscrowd": 0,
    }


class _Writer:
    """Annotations on their way into a file, one a line."""

    def __init__(self, file: TextIO, classes: Sequence[str]) -> None:
        categories = [
            {"id": i, "name": name, "supercategory": "nucleus"} for i, name in enumerate(classes, 1)
        ]
        self._file = file
        self._images: list[dict[str, Any]] = []
        self._count = 0
        file.write(f'{{"info":{{"description":"regdata"}},"categories":{json.dumps(categories)},')
        file.write('"annotations":[')

    def image(self, name: str, size: tuple[int, int]) -> None:
        """Begin an image; what is added next is on it."""
        entry = {"id": len(self._images) + 1, "file_name": name}
        self._images.append({**entry, "width": size[0], "height": size[1]})

    def add(self, shape: dict[str, Any] | None, label: int) -> None:
        """Add a nucleus."""
        if shape is None:
            return
        separator = "," if self._count else ""
        self._count += 1
        ids = {"id": self._count, "image_id": len(self._images), "category_id": label + 1}
        text = json.dumps({**ids, **shape}, separators=(",", ":"))
        self._file.write(f"{separator}\n{text}")

    def finish(self) -> None:
        """Write what is not there already."""
        self._file.write(f'\n],"images":{json.dumps(self._images)}}}\n')


@contextmanager
def _writing(path: Path, classes: Sequence[str]) -> Iterator[_Writer]:
    with path.open("w", encoding="utf-8") as file:
        writer = _Writer(file, classes)
        yield writer
        writer.finish()


def write_coco_crops(folder: Path, plan: CropPlan, progress: Progress) -> None:
    """Write `<part>/*.png` and `annotations/instances_<part>.json`, as COCO is laid out."""
    (folder / "annotations").mkdir()
    size = (plan.side, plan.side)
    with ExitStack() as stack:
        writers: dict[str, _Writer] = {}
        for part in sorted(set(plan.parts())):
            (folder / part).mkdir()
            path = folder / "annotations" / f"instances_{part}.json"
            writers[part] = stack.enter_context(_writing(path, plan.source.classes))
        for crop in plan.crops(progress):
            write_png(folder / crop.part / f"{crop.name}.png", crop.image)
            writers[crop.part].image(f"{crop.name}.png", size)
            _add_crop(writers[crop.part], crop, size)


def _add_crop(writer: _Writer, crop: Crop, size: tuple[int, int]) -> None:
    for outline, label in zip(crop.outlines, crop.classes.tolist(), strict=True):
        writer.add(annotation(outline, size), label)


def write_coco_slide(path: Path, source: Source, he: RecordedSlide, progress: Progress) -> None:
    """Write one file with the whole slide as its image, in level-0 pixels; no picture is copied."""
    name = source.one_slide("an image of COCO")
    size = he.size or he.open(name).size
    done = 0
    with replacing(path) as part, _writing(part, source.classes) as writer:
        writer.image(he.path.name, size)
        for cells, _, rows in source.portions():
            for i, label in enumerate(source.labels[rows].tolist()):
                outline = pixel_indices(cells.contour(i), (0, 0), 1.0)
                writer.add(annotation(outline, size), label)
            done += len(cells)
            progress(done / len(source))
