"""Square crops of an H&E slide with the nuclei in them.

Conventions
-----------
Crops lie on a grid from the slide's top-left corner, so that nuclei found at the crops' resolution
fall on the very pixels they were found on. Positions in a crop are (x, y) in its pixels, corner
origin: the centre of pixel i is at i + 0.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Ints
from regdata.cells import Rows
from regdata.exports.masks import filled, pixel_indices
from regdata.exports.slide import RecordedSlide
from regdata.exports.source import Source
from regdata.exports.split import held_out
from regdata.files import Progress
from regdata.slides import Slide

_TRAIN, TEST = "train", "test"


@dataclass(frozen=True, kw_only=True)
class Crop:
    """One crop.

    Attributes
    ----------
    name
        `<slide>_x<left>_y<top>`, level-0 pixels; the slide's name has no underscore.
    part
        "train" or "test".
    image
        (side, side, 3) uint8; white beyond the slide.
    xy
        (n, 2) centroids of the nuclei that show in it.
    classes
        (n,) index of their classes.
    inside
        (n,) whether the centroid lies in the crop; of the others only a part shows.
    outlines
        Per nucleus (k, 2) int32, indices (x, y) of border pixels; may leave the crop.
    """

    name: str
    part: str
    image: NDArray[np.uint8]
    xy: NDArray[np.float64]
    classes: Ints
    inside: NDArray[np.bool_]
    outlines: list[NDArray[np.int32]]

    def instances(self) -> NDArray[np.int32]:
        """(side, side) nucleus i as i + 1, 0 = background; later ones cover earlier ones."""
        height, width = self.image.shape[:2]
        canvas = np.zeros((height, width), np.int32)
        for i, outline in enumerate(self.outlines):
            mask, (x, y) = filled(outline, (width, height))
            canvas[y : y + mask.shape[0], x : x + mask.shape[1]][mask > 0] = i + 1
        return canvas


@dataclass(frozen=True, kw_only=True)
class CropPlan:
    """Which crops there will be.

    Attributes
    ----------
    source
        The cells.
    he
        Their slide.
    side
        Pixels of a crop.
    step
        Level-0 pixels per pixel of a crop.
    keys
        (C, 3) slide, row and column of each crop, in that order.
    members
        Per crop (n,) numbers of the nuclei that show in it, among those that are exported.
    test
        Patients or slides that are put aside.
    """

    source: Source
    he: RecordedSlide
    side: int
    step: float
    keys: Ints
    members: list[Ints]
    test: frozenset[str]
    nuclei: "_Nuclei"

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.keys)

    def parts(self) -> list[str]:
        """Per crop the part it is in."""
        first = [self.nuclei.row[members[0]] for members in self.members]
        return [TEST if name in self.test else _TRAIN for name in self.source.group[first]]

    def crops(self, progress: Progress) -> Iterator[Crop]:
        """The crops, read one after the other; a slide is open only while it is read."""
        names = _plain(self.source.slides)
        slide: Slide | None = None
        current = -1
        for k, (key, part) in enumerate(zip(self.keys.tolist(), self.parts(), strict=True)):
            if slide is None or key[0] != current:
                current = key[0]
                slide = self.he.open(self.source.slides[current])
            yield self._read(slide, k, (names[current], part))
            progress((k + 1) / len(self))

    def _read(self, slide: Slide, k: int, name_part: tuple[str, str]) -> Crop:
        row, column = self.keys[k, 1:].tolist()
        pitch = self.side * self.step
        corner = (column * pitch, row * pitch)
        image = slide.read_rgb(corner, (self.side, self.side), self.step)
        members = self.members[k]
        xy = (self.nuclei.xy[members] - corner) / self.step
        outlines = [
            pixel_indices(self.nuclei.outline(i), corner, self.step) for i in members.tolist()
        ]
        cells = np.floor(self.nuclei.xy[members] / pitch).astype(np.int64)
        return Crop(
            name=f"{name_part[0]}_x{round(corner[0])}_y{round(corner[1])}",
            part=name_part[1],
            image=image,
            xy=xy,
            classes=self.nuclei.label[members],
            inside=np.all(cells == (column, row), axis=1),
            outlines=outlines,
        )


@dataclass(frozen=True)
class _Nuclei:
    """What crops need of the exported cells: some 200 bytes each, no tokens."""

    xy: NDArray[np.float64]
    vertices: NDArray[np.float32]
    offsets: Ints
    row: Ints  # in the file
    label: Ints
    slide: Ints

    def outline(self, i: int) -> NDArray[np.float32]:
        return self.vertices[self.offsets[i] : self.offsets[i + 1]]


def plan_crops(
    source: Source, he: RecordedSlide, side: int, mpp: float, test_share: float
) -> CropPlan:
    """The crops that hold the centroid of an exported nucleus.

    Parameters
    ----------
    side
        Pixels of a crop.
    mpp
        µm per pixel of a crop.
    test_share
        About this share of the nuclei is put aside for testing, by whole patients or slides.

    Raises
    ------
    RegdataError
        The slide's pixel size is not known, or several slides share one picture.
    """
    step = mpp / he.known_mpp(source.path)
    if not (he.path / "images").is_dir():
        source.one_slide("the H&E slide")
    nuclei = _collect(source)
    keys, members = _assign(nuclei, side * step)
    test = held_out(source.group[nuclei.row], test_share)
    return CropPlan(
        source=source,
        he=he,
        side=side,
        step=step,
        keys=keys,
        members=members,
        test=test,
        nuclei=nuclei,
    )


def _collect(source: Source) -> _Nuclei:
    xy, vertices, lengths, rows = Rows(), Rows(), Rows(), Rows()
    lengths.append(np.zeros(1, np.int64))
    for cells, _, row in source.portions():
        xy.append(cells.xy)
        vertices.append(cells.vertices)
        lengths.append(np.diff(cells.offsets))
        rows.append(row)
    row = rows.array()
    return _Nuclei(
        xy.array(),
        vertices.array(),
        np.cumsum(lengths.array()),
        row,
        source.labels[row],
        source.slide[row],
    )


def _assign(nuclei: _Nuclei, pitch: float) -> tuple[Ints, list[Ints]]:
    """Crops that hold a centroid, and per crop the nuclei whose outline's box meets it."""
    low = np.minimum.reduceat(nuclei.vertices, nuclei.offsets[:-1])
    high = np.maximum.reduceat(nuclei.vertices, nuclei.offsets[:-1])
    home = np.floor(nuclei.xy / pitch).astype(np.int64)
    first = np.minimum(np.floor(low / pitch).astype(np.int64), home)
    last = np.maximum(np.floor(high / pitch).astype(np.int64), home)
    origin = first.min(0)
    width, height = (last.max(0) - origin + 1).tolist()

    def code(index: Ints, place: Ints) -> Ints:
        column, row = (place - origin).T
        number: Ints = (nuclei.slide[index] * height + row) * width + column
        return number

    everyone = np.arange(len(home))
    codes = np.unique(code(everyone, home))
    touched, number = [], []
    for shift in np.ndindex(*((last - first).max(0) + 1)):
        place = first + np.array(shift)
        index = np.flatnonzero(np.all(place <= last, axis=1))
        wanted = code(index, place[index])
        nearest = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        there = codes[nearest] == wanted
        touched.append(index[there])
        number.append(nearest[there])
    nucleus, crop = np.concatenate(touched), np.concatenate(number)
    ends = np.cumsum(np.bincount(crop, minlength=len(codes)))
    column, row = codes % width + origin[0], codes // width % height + origin[1]
    keys = np.column_stack([codes // width // height, row, column])
    return keys, np.split(nucleus[np.lexsort((nucleus, crop))], ends[:-1])


def _plain(names: tuple[str, ...]) -> list[str]:
    """Names for files; others read the slide as what stands before the first underscore."""
    plain = ["".join(c if c.isalnum() or c in "-." else "-" for c in name) for name in names]
    unique = len(set(plain)) == len(plain)
    return plain if unique else [f"{name}-{k}" for k, name in enumerate(plain)]
