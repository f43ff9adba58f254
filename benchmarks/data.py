"""Where the benchmarks find real images, and the annotated nuclei in them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cells.positions import centroids


@dataclass(frozen=True)
class Annotated:
    """An image with manual nuclei; `kinds` is the class of nucleus i + 1, 0 for none."""

    path: Path
    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    xy: NDArray[np.float64]


def data_folder() -> Path:
    """The folder REGDATA_DATA names."""
    folder = os.environ.get("REGDATA_DATA")
    if not folder:
        sys.exit("set REGDATA_DATA to the folder of real images")
    return Path(folder)


def load_annotated(folder: Path) -> list[Annotated]:
    """All images below `folder/images` with `folder/labels/*.npz`."""
    return [load_one(path) for path in sorted((folder / "images").glob("*.*"))]


def load_one(path: Path) -> Annotated:
    """One image, its nuclei numbered 1..N."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    with np.load(path.parents[1] / "labels" / f"{path.stem}.npz") as labels:
        ids, flat = np.unique(labels["inst_map"], return_inverse=True)
        instances = flat.reshape(labels["inst_map"].shape).astype(np.int32)
        if ids[0] != 0:
            instances += 1
        kind_map = labels["type_map"] if "type_map" in labels else np.zeros(instances.shape, int)
    index = np.arange(1, instances.max() + 1)
    kinds = ndimage.maximum(kind_map, instances, index).astype(np.uint8)
    return Annotated(path, pixels[..., ::-1].copy(), instances, kinds, centroids(instances))
