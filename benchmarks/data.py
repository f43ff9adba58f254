"""Where the benchmarks find real images, and the annotated nuclei in them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.outlined import OutlinedImage, find_annotated
from regdata.cells.positions import centroids


@dataclass(frozen=True)
class Annotated:
    """An image with manual nuclei; `kinds` is the class of nucleus i + 1, 0 for none."""

    path: Path
    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    kinds: NDArray[np.int64]
    xy: NDArray[np.float64]


def data_folder() -> Path:
    """The folder REGDATA_DATA names."""
    folder = os.environ.get("REGDATA_DATA")
    if not folder:
        sys.exit("set REGDATA_DATA to the folder of real images")
    return Path(folder)


def load_annotated(folder: Path) -> list[Annotated]:
    """All images below `folder/images` with `folder/labels/*.npz`."""
    return [load_one(image) for image in find_annotated(folder)]


def load_one(image: OutlinedImage) -> Annotated:
    """One image, its nuclei numbered 1..N."""
    nuclei = image.read()
    kinds = np.zeros(len(nuclei), np.int64) if nuclei.kinds is None else nuclei.kinds
    return Annotated(image.path, nuclei.rgb, nuclei.instances, kinds, centroids(nuclei.instances))
