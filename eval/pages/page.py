"""The page of an evaluation: the scores of a classifier, everything inlined."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from regdata.cells import colour
from regdata.eval import Evaluation
from regdata.eval.metrics import Rates, Scores
from regdata.eval.pages.curves import calibration_figure, per_image, precision_recall_figure
from regdata.eval.pages.gallery import ANNOTATED_COLOUR, mistakes
from regdata.report import CROP_UM, FOUND_COLOUR, Fact, css, interval, number, render

_FEW = 20  # annotated nuclei
_BACKGROUND = ("negative", "other")
_NO_SCORES = ("conventions", "chance", "warning", "classification", "confusion", "case")
_LEVELS = ("per_class", "classes", "types", "f1_type")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a page shows beside the evaluation itself.

    Attributes
    ----------
    classifier, source
        Names of the file, and of the annotated set.
    chance
        Scores of points at random places, see `chance_f1`.
    matched
        See `matched_classes`.
    presets
        Scores by other conventions, by name.
    warnings
        Warnings, a sentence each.
    provenance
        Further rows, names and values.
    """

    classifier: str
    source: str
    chance: Mapping[str, Any] | None
    matched: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    provenance: Sequence[tuple[str, str]] = ()


def evaluation_page(evaluation: Evaluation, context: Context) -> str:
    """The page as HTML."""
    scores = evaluation.scores
    tints = _colours(scores.classes)
    return render(
        "evaluation.html",
        title=f"Evaluation of {context.classifier}",
        source=context.source,
        scores=scores,
        facts=_facts(scores, context.chance or {}, tints),
        doubts=[*context.warnings, *_doubts(evaluation)],
        classes=list(_class_rows(scores, context)),
        presets=[(name, preset_line(one)) for name, one in context.presets.items()],
        preset_warnings=[
            f"{name}: {one['warning']}" for name, one in context.presets.items() if "warning" in one
        ],
        confusion=_confusion(scores),
        curves=[precision_recall_figure(evaluation, tints), calibration_figure(context.matched)],
        per_image=per_image(evaluation.images),
        crop_um=CROP_UM,
        colours={"annotated": ANNOTATED_COLOUR, "found": FOUND_COLOUR},
        mistakes=list(mistakes(evaluation.images, scores.classes)),
        provenance=list(_provenance(evaluation, context)),
        conventions=_json(asdict(scores.conventions)),
        training=_json(evaluation.training) if evaluation.training else "",
        images=", ".join(matched.image.name for matched in evaluation.images),
    )


def _colours(classes: Sequence[str]) -> list[str]:
    """A colour per class in HTML; grey for negative and other cells."""
    skip = 0 if classes and classes[0] in _BACKGROUND else 1
    return [css(colour(i + skip)) for i in range(len(classes))]


def _facts(scores: Scores, chance: Mapping[str, Any], tints: Sequence[str]) -> Iterator[Fact]:
    def beside(ends: tuple[float, float] | None, by_chance: float | None) -> str:
        span = "" if ends is None else f", 95 % {interval(ends, '.2f')}"
        return span + ("" if by_chance is None else f"; chance {by_chance:.2f}")

    mean = beside(scores.mean_f1_interval, chance.get("mean_f1"))
    yield Fact(number(scores.mean_f1), f"mean F1{mean}")
    detection = beside(scores.detection.f1_interval, chance.get("detection"))
    yield Fact(number(scores.detection.f1), f"F1 of detection{detection}")
    by_class = chance.get("per_class", {})
    for k, (name, rates) in enumerate(zip(scores.classes, scores.per_class, strict=True)):
        text = f"F1 {name}{beside(rates.f1_interval, by_class.get(str(k)))}"
        yield Fact(number(rates.f1), text, tints[k])


def _doubts(evaluation: Evaluation) -> list[str]:
    """Doubts that follow from the numbers, a sentence each."""
    scores, out = evaluation.scores, []
    by = scores.conventions.resample
    units = scores.images if by == "image" else scores.slides
    if units == 1:
        out.append(f"there is one {by} only, so nothing tells how far the numbers would vary")
    elif units < 10:
        out.append(f"intervals come from {units} {by}s only and are rough, mostly too narrow")
    if by == "image" and scores.slides < scores.images:
        out.append("images of one slide are alike: intervals over images are too narrow")
    for name, rates in zip(scores.classes, scores.per_class, strict=True):
        if rates.annotated < _FEW:
            out.append(f"only {rates.annotated} nuclei are annotated as {name}")
    return out


def _class_rows(scores: Scores, context: Context) -> Iterator[tuple[str, ...]]:
    """A row per class and one of detection."""
    chance = context.chance or {}
    by_class = chance.get("per_class", {})
    area = context.matched.get("auroc", {}).get("per_class", [None] * len(scores.classes))
    for k, (name, rates) in enumerate(zip(scores.classes, scores.per_class, strict=True)):
        yield (name, *_rates(rates), number(by_class.get(str(k))), number(area[k]))
    yield ("detection", *_rates(scores.detection), number(chance.get("detection")), number(None))


def _rates(rates: Rates) -> tuple[str, ...]:
    values = map(number, (rates.precision, rates.recall, rates.f1))
    span = interval(rates.f1_interval, ".2f")
    return (f"{rates.annotated:,}", f"{rates.predicted:,}", *values, span)


def _confusion(scores: Scores) -> list[tuple[str, list[tuple[int, float]]]]:
    """Rows of the confusion matrix: name, and counts with their shares of the row."""
    names = [*scores.classes, "not annotated"]
    return [
        (name, [(count, count / max(1, sum(row))) for count in row])
        for name, row in zip(names, scores.confusion.tolist(), strict=True)
    ]


def preset_line(result: Mapping[str, Any]) -> str:
    """One line with every F1 of a preset's result, by the preset's names, and mean chance.

    Examples
    --------
    >>> preset_line({"per_class": {"CD3": {"f1": 0.6, "tp": 3}}, "mF1": 0.5})
    'CD3 f1 0.600, mF1 0.500'
    """
    scores = []

    def walk(path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key not in _NO_SCORES:
                    walk((*path, key), inner)
        elif isinstance(value, float) and any("f1" in part.lower() for part in path):
            name = " ".join(part for part in path if part not in _LEVELS)
            scores.append(f"{name} {value:.3f}")

    walk((), result)
    chance = (result.get("chance") or {}).get("mean_f1")
    tail = "" if chance is None else f" (chance {chance:.3f} in the mean)"
    return (", ".join(scores) or "nothing is defined") + tail


def _provenance(evaluation: Evaluation, context: Context) -> Iterator[tuple[str, str]]:
    def scored_as(names: Sequence[str], places: Sequence[int]) -> str:
        pairs = zip(names, places, strict=True)
        return "; ".join(f"{name} scored as {classes.names[place]}" for name, place in pairs)

    classes = evaluation.classes
    yield from context.provenance
    yield "network", f"{evaluation.network}, sha256 {evaluation.network_sha256}"
    yield "annotated set", context.source
    yield "µm per pixel", ", ".join(sorted({f"{matched.mpp:g}" for matched in evaluation.images}))
    yield "classes of the set", scored_as(evaluation.annotated, classes.annotated.tolist())
    yield "classes of the classifier", scored_as(evaluation.classified, classes.classifier.tolist())


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(dict(content), indent=1, ensure_ascii=False, default=str)
