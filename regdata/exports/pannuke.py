"""Crops as PanNuke keeps them: one array of images, one of instances per class.

Gamper et al., PanNuke dataset extension, 2020 (arXiv:2003.10778).
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from regdata.exports.crops import CropPlan
from regdata.files import Progress

_CLASSES = 5  # of PanNuke; its readers take channel 5 for background


def _class_masks(
    instances: NDArray[np.int32], classes: NDArray[np.int64], count: int
) -> NDArray[np.uint16]:
    """Instances split by class, and background.

    Parameters
    ----------
    instances
        (H, W), nucleus i as i + 1.
    classes
        (n,) class of each nucleus.
    count
        Number of classes.

    Returns
    -------
    array
        (H, W, C + 1) uint16: instance numbers per class, in the last channel 1 where no nucleus
        is. C is `count`, but 5 at least, so that up to five classes give PanNuke's own six
        channels.

    Examples
    --------
    >>> _class_masks(np.array([[0, 1, 2]]), np.array([1, 0]), 2)[0, :, [0, 1, 5]].tolist()
    [[0, 0, 2], [0, 1, 0], [1, 0, 0]]
    """
    channels = max(count, _CLASSES)
    masks = np.zeros((*instances.shape, channels + 1), np.uint16)
    of_pixel = np.append(channels, classes)[instances]  # (H, W) channel
    value = np.where(instances > 0, instances, 1).astype(np.uint16)
    np.put_along_axis(masks, of_pixel[..., None], value[..., None], axis=2)
    return masks


def write_pannuke(folder: Path, plan: CropPlan, tissue: str, progress: Progress) -> None:
    """Write `<part>/images.npy`, `masks.npy`, `types.npy` and `names.txt`, and `classes.json`.

    Parameters
    ----------
    folder
        Exists and is empty.
    tissue
        What `types.npy` says of every crop.
    """
    classes = plan.source.classes
    channels = max(len(classes), _CLASSES) + 1
    arrays: dict[str, tuple[np.memmap, np.memmap]] = {}
    for part, count in Counter(plan.parts()).items():
        (folder / part).mkdir()
        shape = (count, plan.side, plan.side)
        images = open_memmap(folder / part / "images.npy", "w+", np.uint8, (*shape, 3))
        masks = open_memmap(folder / part / "masks.npy", "w+", np.uint16, (*shape, channels))
        arrays[part] = images, masks
        np.save(folder / part / "types.npy", np.full(count, tissue))
    names: dict[str, list[str]] = {part: [] for part in arrays}
    for crop in plan.crops(progress):
        images, masks = arrays[crop.part]
        k = len(names[crop.part])
        images[k] = crop.image
        masks[k] = _class_masks(crop.instances(), crop.classes, len(classes))
        names[crop.part].append(crop.name)
    for part, (images, masks) in arrays.items():
        images.flush()
        masks.flush()
        (folder / part / "names.txt").write_text("\n".join(names[part]) + "\n")
    (folder / "classes.json").write_text(json.dumps(classes, indent=2))
