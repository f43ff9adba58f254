"""Files of labelled cells from images whose nuclei people outlined: `regdata label-images`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.annotated import AnnotatedNuclei, OutlinedImage, find_annotated
from regdata.cells import MATCH_RADIUS_UM, Record, SlideRecord, centroids, write_dataset
from regdata.cellvit.networks import Model
from regdata.errors import RegdataError
from regdata.eval import class_names, detect_at
from regdata.eval.metrics import match_points
from regdata.files import Progress, silent
from regdata.names import UNKNOWN
from regdata.paths import StrPath


def label_images(
    folder: StrPath,
    output: StrPath,
    model: Model,
    mpp: float = 0.25,
    progress: Progress = silent,
) -> dict[str, int]:
    """Find the nuclei of annotated images, each with the class of the nucleus it is paired with.

    Pairs are one-to-one with centroids within `MATCH_RADIUS_UM`; what is paired with none, or
    with one of no class, is unknown.

    Parameters
    ----------
    folder
        With `images/`, `labels/*.npz` (`inst_map` and `type_map`), and perhaps `classes.json`.
        Without it the classes are called as the network's if there are as many, else 1, 2, ...
    output
        The `.h5` to write, with one `slide` per image; `regdata train` reads it.
    mpp
        µm per pixel of all images.

    Returns
    -------
    dict
        Number of cells of each label.

    Raises
    ------
    RegdataError
        Something is missing or damaged, or no image has classes.
    """
    folder = Path(folder)
    output = Path(output)
    images = find_annotated(folder)
    kinds = [image.read().kinds for image in images]  # all are readable before work begins
    count = max((int(k.max(initial=0)) for k in kinds if k is not None), default=0)
    if count < 2:
        raise RegdataError(
            f"expected nuclei of two classes or more in {folder}/labels (type_map), got {count}"
        )
    classes = class_names(folder, count) or _own_names(model, count)
    labels = np.array([UNKNOWN, *classes])
    counts = dict.fromkeys(labels.tolist(), 0)
    width = model.config.token_width
    with write_dataset(output, width) as out:
        for k, image in enumerate((outlined.read() for outlined in images), 1):
            _, cells = detect_at(model, image.rgb, mpp)
            label = labels[_kinds_of_cells(image, cells.xy, MATCH_RADIUS_UM / mpp)]
            out.append(cells, {"slide": image.name, "patient": image.name, "label": label})
            for name, number in zip(*np.unique(label, return_counts=True), strict=True):
                counts[str(name)] += int(number)
            progress(k / len(images))
        he = SlideRecord(path=str(folder.resolve()), sha256=_sha256(images), mpp=mpp)
        record = Record(classes=tuple(classes), model=model.describe(), he=he)
        out.finish(model.config.classes, record)
    return counts


def _own_names(model: Model, count: int) -> tuple[str, ...]:
    own = model.config.classes[1:]
    return own if len(own) == count else tuple(map(str, range(1, count + 1)))


def _kinds_of_cells(
    image: AnnotatedNuclei, xy: NDArray[np.float64], radius: float
) -> NDArray[np.int64]:
    """(N,) number of the class of the annotated nucleus each cell is paired with, 0 for none.

    Parameters
    ----------
    xy
        (N, 2) centroids in pixels of the image.
    radius
        Largest distance of a pair in pixels.
    """
    kinds = np.zeros(len(xy), np.int64)
    if image.kinds is not None:
        pairs = match_points(centroids(image.instances), xy, radius)
        kinds[pairs[:, 1]] = image.kinds[pairs[:, 0]]
    return kinds


def _sha256(images: Sequence[OutlinedImage]) -> str:
    """Of all images together."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.path.read_bytes())
    return digest.hexdigest()
