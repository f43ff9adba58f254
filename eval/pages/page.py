"""The page of an evaluation: what a classifier is worth, with all it shows inside."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import numpy as np

from regdata.cells import colour
from regdata.eval import Evaluation
from regdata.eval.metrics import Rates
from regdata.eval.pages.curves import curves, per_image
from regdata.eval.pages.gallery import gallery
from regdata.report import box, css, facts, heading, page, paragraph, table

_FEW = 20  # annotated nuclei
_BACKGROUND = ("negative", "other")


@dataclass(frozen=True)
class Told:
    """What a page says beside the evaluation itself.

    Attributes
    ----------
    classifier, source
        Names of the file, and of the annotated set.
    chance
        Of points at random places, see `chance_f1`.
    matched
        See `matched_classes`.
    presets
        Scores by other conventions, by name.
    warnings
        What a person should know, a sentence each.
    provenance
        Further rows of what was used.
    """

    classifier: str
    source: str
    chance: Mapping[str, Any] | None
    matched: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    provenance: Sequence[tuple[str, str]] = ()


def evaluation_page(evaluation: Evaluation, told: Told) -> str:
    """The whole page as HTML."""
    return page(f"Evaluation of {told.classifier}", _parts(evaluation, told))


def _colours(classes: Sequence[str]) -> list[str]:
    """A colour per class as HTML writes it; grey for what is no class of interest."""
    skip = 0 if classes and classes[0] in _BACKGROUND else 1
    return [css(colour(i + skip)) for i in range(len(classes))]


def _parts(evaluation: Evaluation, told: Told) -> Iterator[str]:
    scores = evaluation.scores
    yield from _headline(evaluation, told)
    yield heading("Classes")
    yield _class_table(evaluation, told)
    yield paragraph(
        f"Cells are paired one-to-one with annotated nuclei within {scores.conventions.radius_um:g}"
        " µm, image by image. A pair of different classes is a false positive of the one and a "
        "false negative of the other. Chance: F1 of as many points of each class at random places."
    )
    if told.presets:
        yield from _presets(told)
    yield heading("Which classes are taken for which")
    yield _confusion(evaluation)
    yield from curves(evaluation, told.matched, _colours(scores.classes))
    yield from per_image(evaluation.images, scores.classes)
    yield from gallery(evaluation.images, scores.classes)
    yield from _provenance(evaluation, told)


def _headline(evaluation: Evaluation, told: Told) -> Iterator[str]:
    scores, tints = evaluation.scores, _colours(evaluation.scores.classes)
    chance = told.chance or {}
    yield heading(f"Evaluation of {told.classifier}", 1)
    yield paragraph(
        f"Against {told.source}: {scores.images} image(s) of {scores.slides} slide(s), "
        f"{scores.detection.annotated:,} annotated nuclei."
    )
    entries: list[tuple[str, str, str | None]] = [
        (
            number(scores.mean_f1),
            f"mean F1{_beside(scores.mean_f1_interval, chance.get('mean_f1'))}",
            None,
        ),
        (
            number(scores.detection.f1),
            f"F1 of detection{_beside(scores.detection.f1_interval, chance.get('detection'))}",
            None,
        ),
    ]
    by_class = chance.get("per_class", {})
    for k, (name, rates) in enumerate(zip(scores.classes, scores.per_class, strict=True)):
        beside = _beside(rates.f1_interval, by_class.get(str(k)))
        entries.append((number(rates.f1), f"F1 {name}{beside}", tints[k]))
    yield facts(entries)
    doubts = [*told.warnings, *_doubts(evaluation)]
    if doubts:
        yield box("warn", "Before trusting the numbers", doubts)


def _beside(interval: tuple[float, float] | None, chance: float | None) -> str:
    span = "" if interval is None else f", 95 % {interval[0]:.2f} to {interval[1]:.2f}"
    return span + ("" if chance is None else f"; chance {chance:.2f}")


def _doubts(evaluation: Evaluation) -> list[str]:
    """What the numbers themselves give reason to doubt."""
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


def _class_table(evaluation: Evaluation, told: Told) -> str:
    scores = evaluation.scores
    chance = told.chance or {}
    heads = ("class", "annotated", "predicted", "precision", "recall", "F1", "95 %")
    area = told.matched.get("auroc", {}).get("per_class", [None] * len(scores.classes))
    lines = [
        _class_row(name, rates, chance.get("per_class", {}).get(str(k)), area[k])
        for k, (name, rates) in enumerate(zip(scores.classes, scores.per_class, strict=True))
    ]
    lines.append(_class_row("detection", scores.detection, chance.get("detection"), None))
    head = "".join(
        f'<th class="{"n" if k else ""}">{text}</th>'
        for k, text in enumerate((*heads, "chance", "AUROC*"))
    )
    small = 'style="font-size:.85rem"'  # so that it fits a printed page
    return (
        f'<div class="scroll"><table {small}><tr>{head}</tr>{"".join(lines)}</table></div>'
        + paragraph("* Of the class against the rest, among found nuclei that were annotated.")
    )


def _class_row(name: str, rates: Rates, chance: float | None, area: float | None) -> str:
    span = rates.f1_interval
    cells = (
        f"{rates.annotated:,}",
        f"{rates.predicted:,}",
        number(rates.precision),
        number(rates.recall),
        number(rates.f1),
        "-" if span is None else f"{span[0]:.2f} to {span[1]:.2f}",
        number(chance),
        number(area),
    )
    return (
        f"<tr><th>{escape(name)}</th>{''.join(f'<td class=n>{cell}</td>' for cell in cells)}</tr>"
    )


def _confusion(evaluation: Evaluation) -> str:
    """The matrix as a table whose cells are as dark as their share of the annotated nuclei."""
    scores = evaluation.scores
    columns, rows = [*scores.classes, "missed"], [*scores.classes, "not annotated"]
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in columns)
    lines = []
    for k, name in enumerate(rows):
        total = max(1, int(scores.confusion[k].sum()))
        cells = []
        for j, count in enumerate(scores.confusion[k].tolist()):
            if k == j == len(scores.classes):
                cells.append("<td></td>")
                continue
            share = count / total
            tint = "44,160,44" if k == j else "214,39,40"
            cells.append(
                f'<td class="n" style="background:rgba({tint},{0.75 * share:.3f});'
                f'padding-left:.7rem">{count:,}<small>{share:.0%}</small></td>'
            )
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table><tr><th>annotated, as found</th>{head}</tr>'
        f"{''.join(lines)}</table></div>"
        + paragraph("Rows: what was annotated; columns: what was found; shares are of the row.")
    )


_NO_SCORES = ("conventions", "chance", "warning", "classification", "confusion", "case")
_LEVELS = ("per_class", "classes", "types", "f1_type")


def _presets(told: Told) -> Iterator[str]:
    yield heading("By other conventions", 3)
    rows = [(name, preset_line(result)) for name, result in told.presets.items()]
    yield table(rows)
    for name, result in told.presets.items():
        if "warning" in result:
            yield box("warn", f"{name}: {result['warning']}")


def preset_line(result: Mapping[str, Any]) -> str:
    """Every F1 of a preset's result in a line, by the names it gives them, and mean chance.

    Examples
    --------
    >>> preset_line({"per_class": {"CD3": {"f1": 0.6, "tp": 3}}, "mF1": 0.5})
    'CD3 f1 0.600, mF1 0.500'
    """
    told = []

    def walk(path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key not in _NO_SCORES:
                    walk((*path, key), inner)
        elif isinstance(value, float) and any("f1" in part.lower() for part in path):
            name = " ".join(part for part in path if part not in _LEVELS)
            told.append(f"{name} {value:.3f}")

    walk((), result)
    chance = (result.get("chance") or {}).get("mean_f1")
    tail = "" if chance is None else f" (chance {chance:.3f} in the mean)"
    return (", ".join(told) or "nothing is defined") + tail


def _provenance(evaluation: Evaluation, told: Told) -> Iterator[str]:
    scores, classes = evaluation.scores, evaluation.classes
    yield heading("Made from")
    names = classes.names
    by_class = [
        f"{name} scored as {names[place]}"
        for name, place in zip(evaluation.annotated, classes.annotated.tolist(), strict=True)
    ]
    own = [
        f"{name} scored as {names[place]}"
        for name, place in zip(evaluation.classified, classes.classifier.tolist(), strict=True)
    ]
    sizes = sorted({f"{found.mpp:g}" for found in evaluation.images})
    yield table(
        [
            *told.provenance,
            ("network", f"{evaluation.network}, sha256 {evaluation.network_sha256}"),
            ("annotated set", told.source),
            ("µm per pixel", ", ".join(sizes)),
            ("classes of the set", "; ".join(by_class)),
            ("classes of the classifier", "; ".join(own)),
        ]
    )
    yield _details("Conventions", asdict(scores.conventions))
    if evaluation.training:
        yield _details("Training of the classifier", dict(evaluation.training))
    names_of = ", ".join(found.image.name for found in evaluation.images)
    yield f"<details><summary>Images</summary><p>{escape(names_of)}</p></details>"


def _details(title: str, content: Mapping[str, Any]) -> str:
    text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
    return (
        f"<details><summary>{escape(title)}</summary>"
        f"<pre>{escape(text, quote=False)}</pre></details>"
    )


def number(value: float | None) -> str:
    """Three digits, or a dash for what is undefined.

    Examples
    --------
    >>> number(0.5), number(None)
    ('0.500', '-')
    """
    return "-" if value is None or not np.isfinite(value) else f"{value:.3f}"
