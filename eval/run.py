"""Scores of a saved classifier: segment, classify, match."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regdata.annotated import AnnotatedImage, AnnotatedSet
from regdata.cells import CellTable
from regdata.cellvit.networks import Model, load_classifier, load_model
from regdata.cellvit.tiles import SegmentSettings, Tiling, segment_image
from regdata.errors import RegdataError
from regdata.eval.metrics import (
    ClassMap,
    Conventions,
    MatchedImage,
    Prediction,
    Scores,
    evaluate,
    map_classes,
    match_image,
)
from regdata.files import Progress, silent
from regdata.paths import StrPath

# annotations were made at one pixel size: every image is brought to the network's
_EXACTLY = SegmentSettings(Tiling(native=False))


@dataclass(frozen=True)
class EvaluationSettings:
    """What is scored against the set and how.

    Attributes
    ----------
    model
        File of network weights; the built-in model by default.
    mapping
        Class of the classifier to class of the set, where their names differ.
    """

    model: Path | None = None
    device: str = "auto"
    mapping: Mapping[str, str] | None = None
    conventions: Conventions = field(default_factory=Conventions)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores with the cells behind them.

    Attributes
    ----------
    annotated
        Names of the set's classes, in its order; see `classes` for the scored ones.
    network, network_sha256, training
        The network that predicted the cells, and how the classifier was trained.
    """

    scores: Scores
    images: tuple[MatchedImage, ...]
    classes: ClassMap
    annotated: tuple[str, ...]
    classified: tuple[str, ...]
    network: str
    network_sha256: str
    training: Mapping[str, Any]


def evaluate_classifier(
    classifier: StrPath,
    annotated: AnnotatedSet,
    settings: EvaluationSettings | None = None,
    progress: Progress = silent,
) -> Scores:
    """Scores of a classifier on annotated images, whose nuclei the network predicts.

    Raises
    ------
    RegdataError
        The classifier belongs to another network, or its classes do not map to the set's.
    """
    classifier = Path(classifier)
    return evaluate_cells(classifier, annotated, settings, progress).scores


def evaluate_cells(
    classifier: StrPath,
    annotated: AnnotatedSet,
    settings: EvaluationSettings | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Scores as of `evaluate_classifier`, with every cell and its contour.

    Raises
    ------
    RegdataError
        As `evaluate_classifier`.
    """
    classifier = Path(classifier)
    settings = settings or EvaluationSettings()
    trained = load_classifier(classifier)
    model = load_model(settings.model, settings.device)
    trained.require_model(model.sha256, model.config.name, model.config.token_width)
    classes = map_classes(trained.info.classes, annotated.classes, settings.mapping)
    radius_um = settings.conventions.radius_um
    kept: list[MatchedImage] = []

    def predict(image: AnnotatedImage) -> Prediction:
        mpp = annotated.mpp_of(image)
        cells = find_cells(image, mpp, model)
        prediction = Prediction(cells.xy, trained.predict(cells.tokens))
        outlines = cells.vertices, cells.offsets
        kept.append(match_image(image, prediction, classes, mpp, radius_um, outlines))
        progress(len(kept) / len(annotated.images))
        return prediction

    scores = evaluate(annotated, predict, classes, settings.conventions)
    return Evaluation(
        scores=scores,
        images=tuple(kept),
        classes=classes,
        annotated=annotated.classes,
        classified=trained.info.classes,
        network=model.config.name,
        network_sha256=model.sha256,
        training=trained.info.training,
    )


def find_cells(image: AnnotatedImage, mpp: float, model: Model) -> CellTable:
    """The nuclei that the network predicts in an annotated image, in its pixels.

    Parameters
    ----------
    mpp
        µm per pixel of the image.

    Raises
    ------
    RegdataError
        It is no RGB picture.
    """
    slide = image.opened().with_mpp(mpp)
    if not slide.is_rgb:
        raise RegdataError(f"{image.path} is not an RGB picture; expected H&E")
    return segment_image(slide, model, _EXACTLY)
