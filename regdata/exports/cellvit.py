"""Crops with a point per nucleus, in the folder layout that CellViT++ trains classifiers on."""

import json
from pathlib import Path

import numpy as np

from regdata.exports.crops import CropPlan
from regdata.files import Progress
from regdata.report import write_png


def write_cellvit(folder: Path, plan: CropPlan, progress: Progress) -> None:
    """Write `{train,test}/{images/*.png,labels/*.csv}` and `label_map.yaml`.

    A line of the csv is x, y, class without a header: the pixel, as indices, that holds the
    centroid, and the class's number, from 0.
    """
    for part in set(plan.parts()):
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True)
    for crop in plan.crops(progress):
        write_png(folder / crop.part / "images" / f"{crop.name}.png", crop.image)
        # a centroid on the crop's far edge may be rounded onto it
        pixel = np.floor(crop.xy[crop.inside]).astype(int).clip(0, plan.side - 1).tolist()
        classes = crop.classes[crop.inside].tolist()
        lines = [f"{x},{y},{name}\n" for (x, y), name in zip(pixel, classes, strict=True)]
        (folder / crop.part / "labels" / f"{crop.name}.csv").write_text("".join(lines))
    # text in JSON's quotes is text in YAML's
    names = [f"{i}: {json.dumps(name)}\n" for i, name in enumerate(plan.source.classes)]
    (folder / "label_map.yaml").write_text("".join(names))
