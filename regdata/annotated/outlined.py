"""Outlined images: folders of `images/` and `labels/`, each image read when it is asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.files import child, pair_folders, parts_with, wrong_folder
from regdata.annotated.maps import Maps, majority, read_maps
from regdata.annotated.sets import AnnotatedImage, patient_of, slide_of
from regdata.arrays import RGB
from regdata.errors import RegdataError
from regdata.slides import open_slide, picture_size


@dataclass(frozen=True)
class AnnotatedNuclei:
    """One image and its outlined nuclei, in memory.

    Attributes
    ----------
    name
        File name without its ending, or fold and number ("fold1_17").
    rgb
        (H, W, 3) uint8.
    instances
        (H, W) int32, nuclei 1..N, 0 = background.
    types
        (H, W) uint8, number of the class of each pixel, 0 for none; None where the image has no
        classes.
    tissue
        Number in `regdata.annotated.pannuke.TISSUES`; None where it is not known.
    """

    name: str
    rgb: RGB
    instances: NDArray[np.int32]
    types: NDArray[np.uint8] | None = None
    tissue: int | None = None

    def __len__(self) -> int:
        """Number of nuclei."""
        return int(self.instances.max(initial=0))

    @cached_property
    def kinds(self) -> NDArray[np.int64] | None:
        """(N,) the class that most pixels of a nucleus have, 0 for none; None without classes."""
        return None if self.types is None else majority(self.instances, self.types)


@dataclass(frozen=True)
class OutlinedImage:
    """Files of one image and of the outlines of its nuclei; nothing is read yet.

    Attributes
    ----------
    path
        The picture.
    labels
        `.npz`, `.mat`, or `.npy` with a dict: `inst_map` and, where there are classes, `type_map`.
    largest
        Highest type there may be.
    typed
        Whether a file without types is an error.
    """

    path: Path
    labels: Path
    largest: int = 255
    typed: bool = False

    @property
    def name(self) -> str:
        """File name of the picture without its ending."""
        return self.path.stem

    def maps(self) -> Maps:
        """Nuclei and their types, checked against the size of the picture."""
        return read_maps(self.labels, picture_size(self.path), self.largest, self.typed)

    def classed(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Nuclei 1..N and the class that most pixels of each have, 0 for none."""
        instances, types = self.maps()
        none = np.zeros(int(instances.max(initial=0)), np.int64)
        return instances, none if types is None else majority(instances, types)

    def outlines(self) -> NDArray[np.int32]:
        """(H, W) nuclei 1..N, 0 = background."""
        return self.maps()[0]

    def read(self) -> AnnotatedNuclei:
        """The picture and its nuclei.

        Raises
        ------
        RegdataError
            A file is damaged, or the maps do not fit the picture.
        """
        return AnnotatedNuclei(self.name, read_picture(self.path), *self.maps())

    def with_points(
        self, xy: NDArray[np.float64], labels: NDArray[np.int64], split: str
    ) -> AnnotatedImage:
        """The same image as one of a set: with centroids and index of the class of each nucleus."""
        slide = slide_of(self.name)
        patient = patient_of(slide)
        return AnnotatedImage(
            path=self.path,
            points_xy=xy,
            labels=labels,
            slide=slide,
            split=split,
            patient=patient,
            outlines=self.outlines,
        )


def find_annotated(
    directory: Path, ending: str = ".npz", largest: int = 255, typed: bool = False
) -> list[OutlinedImage]:
    """Images of a folder with `images/` and `labels/`, by name.

    Raises
    ------
    RegdataError
        A folder is missing, there is no image, or an image has no labels or the other way round.
    """
    pictures, labels = child(directory, "images"), child(directory, "labels")
    if pictures is None or labels is None:
        raise wrong_folder(directory, f"images/ and labels/*{ending}")
    pairs = pair_folders(pictures, labels, ending, directory)
    return [OutlinedImage(*pair, largest, typed) for pair in pairs]


def find_parts(
    directory: Path, split: str | None, ending: str, largest: int = 255, typed: bool = False
) -> list[tuple[str, OutlinedImage]]:
    """Images of a set, with the split of each; see `find_annotated` and `parts_with`."""
    parts = parts_with(directory, "images", "labels", split)
    return [
        (part, OutlinedImage(*pair, largest, typed))
        for part, pictures, labels in parts
        for pair in pair_folders(pictures, labels, ending, directory)
    ]


def read_picture(path: Path) -> RGB:
    """(H, W, 3) uint8 of an H&E picture, turned as its EXIF says.

    Raises
    ------
    RegdataError
        It is damaged, or not in colour.
    """
    slide = open_slide(path)
    if not slide.is_rgb or slide.dtype != np.uint8:
        raise RegdataError(f"{path} is not an RGB picture; expected H&E")
    return slide.read_rgb((0, 0), slide.size)
