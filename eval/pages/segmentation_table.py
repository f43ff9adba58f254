"""Scores of a segmentation network as plain text tables."""

from regdata.eval import SegmentationReport
from regdata.eval.metrics import ClassScores, Estimate, SegmentationScores
from regdata.report import interval, number, text_table

_LABELS = {
    "dice": "Dice",
    "bpq": "bPQ",
    "dq": "DQ",
    "sq": "SQ",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
"""Binary scores by name, as they are printed."""
_HEADER = ("class", "annotated", "found", "PQ", "PQ pooled", "F1", "recall of paired")
_ROBUST = ("dice", "bpq", "aji", "precision", "recall", "f1")


def report_text(report: SegmentationReport) -> str:
    """All tables of a report as text, with images, model and conventions."""
    scores = next(iter(report.scores.values()))
    about = report.provenance
    images = len(scores.images)
    how = "95 % intervals: bootstrap over images" if images > 1 else "no intervals: one image only"
    parts = [
        f"{about['data']}: {images} image(s) at {about['mpp']:g} µm/px, "
        f"model {about['model']['name']} {about['model']['sha256'][:12]}",
        _binary_table(scores),
        f"Mean over images; {how}. Precision, recall and F1: centroids within "
        f"{about['radius_um']:g} µm ({about['radius_um'] / about['mpp']:.3g} px).",
    ]
    if scores.classes is not None:
        parts += ["", _class_table(scores.classes)]
    by = "type branch" if about["classifier"] is None else "token classifier"
    parts.append(f"Classes (of the {by}): {about['classes']}.")
    if len(report.scores) > 1:
        parts += ["", _robustness_table(report)]
    return "\n".join(parts)


def _binary_table(scores: SegmentationScores) -> str:
    """One line per score: its mean and interval."""
    rows = [("score", "mean", "95 % interval")]
    rows += [(_LABELS[k], _value(e), _span(e)) for k, e in scores.binary.items()]
    return text_table(rows)


def _class_table(scores: ClassScores) -> str:
    """One line per class, then the means with their intervals."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for c in scores.classes:
        values = map(_value, (c.pq, c.pq_pooled, c.f1, c.recall))
        rows.append((c.name, str(c.annotated), str(c.predicted), *values))
    means = {
        "mPQ": scores.mpq,
        "mPQ+": scores.mpq_plus,
        "mean F1": scores.mean_f1,
        "balanced accuracy": scores.balanced_accuracy,
    }
    lines = [(name, _value(value), _span(value)) for name, value in means.items()]
    return f"{text_table(rows)}\n{text_table([('', 'value', '95 % interval'), *lines])}"


def _robustness_table(report: SegmentationReport) -> str:
    """One line per perturbation."""
    classed = all(scores.classes is not None for scores in report.scores.values())
    header = ["images", *(_LABELS[name] for name in _ROBUST)]
    rows = [(*header, "mPQ+", "balanced accuracy") if classed else tuple(header)]
    for name, scores in report.scores.items():
        values = [scores.binary[key] for key in _ROBUST]
        if scores.classes is not None and classed:
            values += [scores.classes.mpq_plus, scores.classes.balanced_accuracy]
        rows.append((name, *map(_value, values)))
    return text_table(rows)


def _value(estimate: Estimate) -> str:
    return number(estimate.value)


def _span(estimate: Estimate) -> str:
    return interval((estimate.low, estimate.high), between=" - ")
