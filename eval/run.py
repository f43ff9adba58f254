"""Scoring a saved classifier: segment, classify, match."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regdata.cellvit.classifier import load_classifier
from regdata.cellvit.plan import Tiling
from regdata.cellvit.segment import SegmentSettings, segment_image
from regdata.cellvit.weights import load_model
from regdata.errors import RegdataError
from regdata.eval.classes import map_classes
from regdata.eval.evaluate import Prediction, evaluate
from regdata.eval.score import Conventions, Scores
from regdata.eval.sets import AnnotatedImage, AnnotatedSet
from regdata.progress import Progress, silent

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


def evaluate_classifier(
    classifier: Path,
    annotated: AnnotatedSet,
    settings: EvaluationSettings | None = None,
    progress: Progress = silent,
) -> Scores:
    """Find and classify the nuclei of annotated images and score them.

    Raises
    ------
    RegdataError
        The classifier belongs to another network, or its classes do not map to the set's.
    """
    settings = settings or EvaluationSettings()
    trained = load_classifier(classifier)
    model = load_model(settings.model, settings.device)
    trained.require_model(model.sha256, model.config.name, model.config.token_width)
    classes = map_classes(trained.info.classes, annotated.classes, settings.mapping)
    done = 0

    def predict(image: AnnotatedImage) -> Prediction:
        nonlocal done
        slide = image.opened().with_mpp(annotated.mpp_of(image))
        if not slide.is_rgb:
            raise RegdataError(f"{image.path} is not an RGB picture; expected H&E")
        cells = segment_image(slide, model, _EXACTLY)
        done += 1
        progress(done / len(annotated.images))
        return Prediction(cells.xy, trained.predict(cells.tokens))

    return evaluate(annotated, predict, classes, settings.conventions)
