"""Scores of a segmentation network on images whose nuclei were outlined by people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.annotated import find_annotated
from regdata.arrays import RGB
from regdata.cells import MATCH_RADIUS_UM, CellTable
from regdata.cellvit.networks import (
    Classifier,
    Model,
    apply_classifier,
    choose_classifier,
    load_model,
)
from regdata.cellvit.tiles import detect
from regdata.errors import RegdataError
from regdata.eval.metrics import (
    UNCHANGED,
    ClassMap,
    DetectedNuclei,
    SegmentationScores,
    map_classes,
    perturbations,
    score_image,
    summarise,
)
from regdata.files import Progress, silent
from regdata.paths import StrPath

_CONVENTIONS = {
    "matching": "PQ: IoU > 0.5; detection: centroids one-to-one, most pairs then least distance",
    "empty": "nothing annotated and nothing found: left out of the mean; one side only: 0",
    "absent_class": "no score, left out of the mean",
    "pq": "class mean over images in which the class is annotated; pooled over all images",
    "interval": "bootstrap over images, percentiles 2.5 and 97.5",
}


@dataclass(frozen=True, kw_only=True)
class SegmentationSettings:
    """What is scored and how.

    Attributes
    ----------
    model
        File of network weights; the built-in model by default.
    classifier, own_classes
        What gives the nuclei a class; see `regdata.cellvit.networks.classifier.choose_classifier`.
    mpp
        µm per pixel of the images.
    mapping
        Class of the network or classifier to class of the set; see `map_classes`.
    robustness
        Also score the images perturbed, see `regdata.eval.metrics.robustness`.
    radius_um
        Largest distance of paired centroids, µm.
    """

    model: Path | None = None
    classifier: Path | None = None
    own_classes: bool = False
    mpp: float = 0.25
    mapping: Mapping[str, str] | None = None
    device: str = "auto"
    exact: bool = False
    robustness: bool = False
    radius_um: float = MATCH_RADIUS_UM
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class SegmentationReport:
    """Scores of the images as they are and, with `robustness`, perturbed.

    Attributes
    ----------
    provenance
        What was scored and how; plain numbers, strings and None.
    scores
        By name of the perturbation, the unchanged images first.
    """

    provenance: dict[str, Any]
    scores: dict[str, SegmentationScores]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None: ready for JSON."""
        named = {name: scores.to_dict() for name, scores in self.scores.items()}
        first = named.pop(UNCHANGED.name)
        return {"provenance": self.provenance, **first, "robustness": named}


def evaluate_segmentation(
    folder: StrPath, settings: SegmentationSettings | None = None, progress: Progress = silent
) -> SegmentationReport:
    """Scores of the nuclei that a network predicts in annotated images.

    Parameters
    ----------
    folder
        With `images/`, `labels/*.npz` (`inst_map` and perhaps `type_map`), and perhaps
        `classes.json`, the names of classes 1, 2, ... of `type_map`.

    Raises
    ------
    RegdataError
        Something is missing or damaged, or the mapping does not fit.
    """
    folder = Path(folder)
    settings = settings or SegmentationSettings()
    images = find_annotated(folder)
    kinds = [image.read().kinds for image in images]  # all are readable before the work begins
    count = max((int(k.max(initial=0)) for k in kinds if k is not None), default=0)
    model = load_model(settings.model, settings.device, settings.exact)
    classifier = choose_classifier(model, settings.classifier, settings.own_classes)
    own = classifier.info.classes if classifier else model.config.classes[1:]
    classes, how = pair_classes(own, class_names(folder, count), count, settings.mapping)
    names = classes.names if classes else ()
    changes = perturbations(settings.mpp) if settings.robustness else (UNCHANGED,)
    radius = settings.radius_um / settings.mpp
    scores, done = {}, 0
    for change in changes:
        rows = []
        for outlined in images:
            image = change.apply(outlined.read())
            nuclei = find_nuclei(model, image.rgb, settings.mpp, classifier)
            rows.append(score_image(image, nuclei, radius, classes))
            done += 1
            progress(done / (len(images) * len(changes)))
        scores[change.name] = summarise(rows, names, settings.draws, settings.seed)
    provenance = _provenance(folder, model, classifier, settings)
    provenance |= {"classes": how, "own_classes": list(own)}
    return SegmentationReport(provenance, scores)


def find_nuclei(
    model: Model, rgb: RGB, mpp: float, classifier: Classifier | None = None
) -> DetectedNuclei:
    """Nuclei predicted in one image, which is brought to the network's pixel size and back.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8, run as one tile.
    mpp
        µm per pixel of the image.
    """
    instances, cells = detect_at(model, rgb, mpp)
    if classifier is not None:
        cells = apply_classifier(cells, classifier)
    return DetectedNuclei(instances, cells.xy, cells.kind.astype(np.int64) - 1)


def detect_at(model: Model, rgb: RGB, mpp: float) -> tuple[NDArray[np.int32], CellTable]:
    """(H, W) int32 instances and their cells in pixels of the image, for any pixel size.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8, run as one tile; see `regdata.cellvit.tiles.inference.detect`.
    mpp
        µm per pixel of the image.
    """
    height, width = rgb.shape[:2]
    factor = mpp / model.config.mpp
    if abs(factor - 1) < 0.01:
        return detect(model, rgb)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LANCZOS4
    instances, cells = detect(model, np.asarray(cv2.resize(rgb, size, interpolation=method)))
    # the centre of pixel i lies at i + 0.5 in both
    rows, columns = (
        np.floor((np.arange(n) + 0.5) * m / n).astype(np.int64)
        for n, m in ((height, size[1]), (width, size[0]))
    )
    return instances[rows[:, None], columns], cells.scale(1 / factor, (0.0, 0.0))


def class_names(folder: StrPath, count: int) -> tuple[str, ...] | None:
    """Names of the set's classes from `classes.json`; None without that file."""
    folder = Path(folder)
    path = folder / "classes.json"
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RegdataError(f'expected a list of names in {path}, as ["tumour", "stroma"]')
    if len(names) < count:
        raise RegdataError(f"{path} names {len(names)} classes, but type_map has class {count}")
    return tuple(names)


def pair_classes(
    own: Sequence[str],
    names: Sequence[str] | None,
    count: int,
    mapping: Mapping[str, str] | None = None,
) -> tuple[ClassMap | None, str]:
    """The scored classes, and a sentence that says how they were paired.

    Parameters
    ----------
    own
        Classes of the network or classifier.
    names
        Classes 1, 2, ... of the set; numbered where they have no names.
    count
        Highest class that occurs in the set.

    Raises
    ------
    RegdataError
        A mapping is given and does not fit.
    """
    if count == 0:
        if mapping:
            raise RegdataError(
                "`mapping=`: the images have no classes (no type_map in labels/*.npz)"
            )
        return None, "no classes in the set"
    numbered = tuple(names or map(str, range(1, count + 1)))
    if mapping:
        return map_classes(own, numbered, mapping), "paired as the mapping says"
    if names is None and len(own) == count:
        order = np.arange(count)
        listed = ", ".join(f"{i + 1} = {name}" for i, name in enumerate(own))
        return ClassMap(tuple(own), order, order), f"paired by order ({listed})"
    try:
        return map_classes(own, numbered), "paired by name"
    except RegdataError as error:
        return None, f"not scored: {error.message}"


def _provenance(
    folder: Path, model: Model, classifier: Classifier | None, settings: SegmentationSettings
) -> dict[str, Any]:
    return {
        "regdata": version("regdata"),
        "data": str(folder),
        "model": asdict(model.describe()),
        "classifier": None
        if classifier is None
        else classifier.info.model_dump(mode="json", exclude={"mean", "std", "training"}),
        "device": model.device.type,
        "precision": str(model.precision).removeprefix("torch."),
        "mpp": settings.mpp,
        "radius_um": settings.radius_um,
        "draws": settings.draws,
        "seed": settings.seed,
        "map": dict(settings.mapping) if settings.mapping else None,
        "conventions": _CONVENTIONS,
    }
