"""Scores of a segmentation network as plain text tables."""

from collections.abc import Sequence

from regdata.eval import SegmentationReport
from regdata.eval.metrics import ClassScores, Estimate, SegmentationScores

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
    """All tables of a report, with what one needs to read them."""
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
    return _align(rows)


def _class_table(scores: ClassScores) -> str:
    """One line per class, then the means with their intervals."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for c in scores.classes:
        values = map(_value, (c.pq, c.pq_pooled, c.f1, c.recall))
        rows.append((c.name, str(c.annotated), str(c.found), *values))
    means = {
        "mPQ": scores.mpq,
        "mPQ+": scores.mpq_plus,
        "mean F1": scores.mean_f1,
        "balanced accuracy": scores.balanced_accuracy,
    }
    lines = [(name, _value(value), _span(value)) for name, value in means.items()]
    return f"{_align(rows)}\n{_align([('', 'value', '95 % interval'), *lines])}"


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
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text: names to the left, numbers to the right.

    Examples
    --------
    >>> print(_align([("a", "b"), ("long", "1.0")]))
    a       b
    long  1.0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def _value(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{estimate.value:.3f}"


def _span(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:.3f} - {estimate.high:.3f}"
